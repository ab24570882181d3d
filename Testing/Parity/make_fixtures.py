"""Make the small models and labels of nnunetv2 in ``Testing/Core/data/nnunet``, which tests without nnunetv2 use.

Run it with an interpreter that has nnunetv2: ``python Testing/Parity/make_fixtures.py``. The networks are trained anew,
so that weights and labels change together.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from nnunet_models import REGIONS, Model, labels_of_nnunet, train, write_study

TARGET = Path(__file__).resolve().parents[1] / "Core" / "data" / "nnunet"
FIXTURES = (
    Model(
        "plain",
        shape=(26, 32, 30),
        patch=(20, 20, 24),
        features=(4, 6),
        mirror=(0, 2),
        zeros=3,
        masked=True,
        forward=(1, 0, 2),
        target_mm=(3.3, 3.2, 3.0),
        steps=250,
    ),
    Model(
        "residual",
        shape=(11, 44, 40),
        spacing_mm=(7.5, 2.4, 2.5),
        target_mm=(6.5, 2.0, 2.2),
        patch=(8, 24, 24),
        features=(4, 6),
        channels=("CT", "noNorm"),
        schemes=("CTNormalization", "NoNormalization"),
        labels=REGIONS,
        residual=True,
        folds=2,
        steps=250,
    ),
)


def main() -> None:
    """Train, ask nnunetv2, and keep what tests need."""
    for model in FIXTURES:
        with tempfile.TemporaryDirectory() as name:
            base = Path(name)
            folder = train(model, base)
            study = write_study(model, base)
            labels = labels_of_nnunet(model, folder, study, base)
            target = TARGET / model.name
            shutil.rmtree(target, ignore_errors=True)
            trained = target / folder.name
            for fold in range(model.folds):
                (trained / f"fold_{fold}").mkdir(parents=True)
                file = f"fold_{fold}/checkpoint_final.pth"
                shutil.copyfile(folder / file, trained / file)
            for file in ("plans.json", "dataset.json"):
                shutil.copyfile(folder / file, trained / file)
            for path in study:
                shutil.copyfile(path, target / path.name)
            shutil.copyfile(labels, target / "expected.nii.gz")


if __name__ == "__main__":
    main()
