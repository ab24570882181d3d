"""Whether networks learn more from training sets whose lesions lie at more places: measured on synthetic studies.

    python Testing/Studies/diversity_and_dice.py OUT [--organ-maps FOLDER] [--pool 64] [--subsets 10] [--size 8]
        [--rounds 500] [--studies 16]

FOLDER holds organ maps KIND_PATIENT_DATE.nii.gz and ``labels.csv`` (default: psma-organ-labels in ``PSMA_TEST_DATA``).
All studies are synthetic: uptake and lesions painted on organ maps of real men. Steps, each left out where its output
is there, so that the same command goes on after a stop:

1. ``synthetic-pool``: one study with lesions of each of so many men who may be trained on, in the files of ``psma
   training-set`` (68Ga-PSMA-11, ``VARIED`` settings). Nothing was found or corrected in it: ``automatic`` is empty and
   ``corrected`` the truth.
2. ``subsets.csv`` and ``subsets/NAME``: training subsets of equally many studies, in turn of the most and the least
   diverse lesions and of random ones. Each is drawn from a random two thirds of the pool, so that subsets of one kind
   are not the same, with numbers and volume of lesions near the median of random draws (within 5 and 25 %). Then one
   study at a time is exchanged at random, and the exchange is kept where the effective number of sites of
   ``PSMASegmentLib.evaluation.diversity`` rises (or falls) and number and volume stay as near. Random ones are left as
   drawn. Diversity is all that is chosen by, but not all that may differ: sets of few places have other kinds of
   lesions too (nodes of the pelvis, say, and few in bone).
3. ``networks/NAME``: a small network for PET for each subset, from scratch, all with the same seed and rounds, on crops
   of the subset alone (``psma train``).
4. ``evaluation`` and ``dice.csv``: mean Dice on synthetic studies of held-out men (``psma evaluate``).
5. ``diversity``: what ``psma diversity --subsets --dice`` says. ``table.csv`` is the table printed at the end.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from PSMASegmentLib.evaluation.diversity import diversity_and_dice
from PSMASegmentLib.training.organ_maps import maps_to_test_on
from PSMATheranosticsLib.diversity_cases import gather
from PSMATheranosticsLib.evaluation_summary import p_text
from PSMATheranosticsLib.evaluation_tables import csv_bytes
from PSMATheranosticsLib.study_sets import read_sets
from PSMATheranosticsLib.whole_file import require_folder, write_whole
from synthetic_pool import TRACER, as_json, link_subset, write_pool
from training_subsets import PoolLesions, choose_subsets, pool_lesions

POOL = "synthetic-pool"
FEWEST_FOR_RHO = 4  # subsets, as ``diversity_and_dice`` asks for
NETWORK: Mapping[str, Any] = {
    "kind": "segmentation",
    "note": "Trained on synthetic studies alone, to compare training sets; not for use.",
    "batch": 4,
    "widths": [16, 32, 64, 80],
    "modalities": ["PET"],
    "tracers": [TRACER],
    "channels": ["emission"],
    "organs": False,
    "spacing_mm": 4.0,
    "voxels": 64,
    "learning_rate": 0.002,
    "case_share": 1.0,
    # Crops are painted, and then all replaced by those of cases: few men are enough to paint on.
    "maps": 4,
    "test_crops": 20,
}
"""Settings that the networks share: a small form of ``Resources/Training/pet-lesion.yaml``."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What the study is made of. ``size`` studies are in a subset; ``studies`` are those that networks are tested on.

    ``threads`` of the CPU train; they change no result, as where the files lie.
    """

    out: Path
    organ_maps: Path
    pool: int = 64
    subsets: int = 10
    size: int = 8
    rounds: int = 500
    studies: int = 16
    seed: int = 1
    threads: int = 1

    def check(self) -> None:
        """Raise ValueError for numbers that do not go together."""
        if min(self.pool, self.subsets, self.size, self.rounds, self.studies, self.threads) < 1 or self.seed < 0:
            raise ValueError("--pool, --subsets, --size, --rounds, --studies and --threads must be positive.")
        if self.size >= self.pool:
            raise ValueError(f"Subsets of {self.size} studies cannot be chosen out of {self.pool}: raise --pool.")

    def shaping(self) -> Row:
        """What the results follow from."""
        return {name: getattr(self, name) for name in ("pool", "subsets", "size", "rounds", "studies", "seed")} | {
            "synthetic": True,
            "tracer": TRACER,
            "network": dict(NETWORK),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not there yet and print the table; 0 where all went well."""
    plan = _plan(arguments)
    try:
        run(plan)
    except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: so SimpleITK tells of a full disk
        print(f"diversity-study: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"diversity-study: {' '.join(error.cmd[:3])} ... failed ({error.returncode}).", file=sys.stderr)
        return 1
    return 0


def run(plan: Plan) -> None:
    """All steps. Raises ValueError, OSError, RuntimeError and CalledProcessError."""
    plan.check()
    require_folder(plan.out)
    _require_same(plan)
    with _step(f"1. Pool of {plan.pool} synthetic studies"):
        _write_pool(plan)
    with _step(f"2. {plan.subsets} subsets of {plan.size} studies"):
        subsets = _subsets(plan)
    with _step(f"3. A network for each, {plan.rounds} rounds"):
        for name in subsets:
            _train(plan, name)
    with _step(f"4. Dice on {plan.studies} synthetic studies of held-out men"):
        dices = _dices(plan, list(subsets))
    with _step("5. Diversity and Dice"):
        _describe(plan, dices)
    _print_table(plan, _kinds(plan))


@contextmanager
def _step(title: str) -> Iterator[None]:
    """Tell what begins, and how long it took (s, wall clock)."""
    print(f"== {title}", flush=True)
    started = time.monotonic()
    yield
    print(f"   {time.monotonic() - started:.0f} s", flush=True)


def _require_same(plan: Plan) -> None:
    """Raise ValueError where the folder was begun with other settings, whose outputs would be mixed with these."""
    path = plan.out / "study.json"
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != plan.shaping():
            raise ValueError(f"{path} was begun with other settings. Go on with those, or choose another folder.")
        return
    if any(plan.out.iterdir()):
        raise ValueError(f"{plan.out} holds other files. Choose an empty folder.")
    write_whole(path, as_json(plan.shaping()))


def _write_pool(plan: Plan) -> None:
    """The pool. Raises ValueError where there are too few men to paint on or to test on."""
    held_out = len(maps_to_test_on(plan.organ_maps))
    if held_out < plan.studies:
        raise ValueError(
            f"{plan.organ_maps} holds {held_out} organ maps of men held out; --studies asks for {plan.studies}."
        )
    write_pool(plan.out / POOL, plan.organ_maps, plan.pool, plan.seed)


def _subsets(plan: Plan) -> dict[str, list[str]]:
    """Studies of each subset by its name; ``subsets.csv`` and the training sets of those that are not there yet."""
    path = plan.out / "subsets.csv"
    if not path.is_file():
        pool = _pool_lesions(plan)
        found = choose_subsets(pool, plan.subsets, plan.size, plan.seed)
        rows = []
        for name, (kind, chosen) in found.items():
            rows += [{"subset": name, "chosen": kind, "case": pool.names[study]} for study in chosen]
            counted = f"{pool.lesions[chosen].sum()} lesions, {pool.volume_ml[chosen].sum():.0f} mL"
            print(f"   {name}: {counted}, {pool.sites(chosen):.1f} effective sites", flush=True)
        write_whole(path, csv_bytes(rows))
    subsets: dict[str, list[str]] = {}
    for row in _rows(path):
        subsets.setdefault(row["subset"], []).append(row["case"])
    for name, cases in subsets.items():
        link_subset(plan.out / POOL, cases, plan.out / "subsets" / name)
    return subsets


def _pool_lesions(plan: Plan) -> PoolLesions:
    """Where the lesions of the pool lie, as ``psma diversity`` finds it.

    Raises ValueError where a study cannot be laid onto the reference man.
    """
    gathered = gather(read_sets([plan.out / POOL]), lambda fraction, message: None)
    if gathered.left_out:
        _, name, reason = gathered.left_out[0]
        raise ValueError(f"The study {name} of the pool cannot be brought into one body: {reason}. Delete it.")
    return pool_lesions(gathered.all())


def _train(plan: Plan, name: str) -> None:
    """Train the network of a subset, or go on, unless it has a package."""
    if (_package(plan, name) / "model.json").is_file():
        return
    print(f"   {name}", flush=True)
    config = plan.out / "networks" / f"{name}.yaml"
    folders = {"organ_maps": str(plan.organ_maps.resolve()), "output": name, "bodies": "../bodies"}
    settings = {
        **NETWORK,
        **folders,
        "name": name,
        "title": f"Of a synthetic training subset: {name}",
        "cases": f"../subsets/{name}",
        "rounds": plan.rounds,
        "seed": plan.seed,
        "threads": plan.threads,
    }
    write_whole(config, yaml.safe_dump(settings, sort_keys=False).encode())
    _psma(plan, "train", config)


def _package(plan: Plan, name: str) -> Path:
    return plan.out / "networks" / name / "package"


def _dices(plan: Plan, names: Sequence[str]) -> dict[str, float]:
    """Mean Dice of each network over the studies with lesions; ``dice.csv`` is written where it is not there.

    Raises ValueError where no study has a lesion.
    """
    path = plan.out / "dice.csv"
    if not path.is_file():
        for name in names:
            _psma(plan, "models", "trust", _package(plan, name))
        methods = [f"package:{name}" for name in names]
        maps = ("--organ-maps", plan.organ_maps.resolve(), "--count", plan.studies, "--seed", plan.seed)
        # No bootstrap: what varies here is the training set, not the men.
        counting = ("--tracer", TRACER, "--no-surfaces", "--resamples", 0)
        _psma(plan, "evaluate", *maps, *counting, "--methods", *methods, "--to", plan.out / "evaluation")
        told = json.loads((plan.out / "evaluation" / "summary.json").read_text(encoding="utf-8"))["methods"]
        means = {name: told[f"package:{name}"]["all"]["voxels"]["dice"]["mean"]["value"] for name in names}
        if None in means.values():
            raise ValueError("None of the studies of held-out men has a lesion: raise --studies.")
        write_whole(path, csv_bytes([{"subset": name, "dice": round(value, 4)} for name, value in means.items()]))
    return {row["subset"]: float(row["dice"]) for row in _rows(path)}


def _describe(plan: Plan, dices: Mapping[str, float]) -> None:
    """``psma diversity`` of the subsets, with Dice where a rank correlation can be had."""
    to = plan.out / "diversity"
    if (to / "diversity.json").is_file():
        return
    dice = []
    if len(dices) < FEWEST_FOR_RHO:
        print(f"   No rank correlation: it takes {FEWEST_FOR_RHO} subsets.")
    elif len(set(dices.values())) == 1:
        print("   No rank correlation: all networks reach the same Dice.")
    else:
        dice = ["--dice", plan.out / "dice.csv"]
    # The pool and not the subsets' folders: a study that is in several subsets is one study.
    _psma(plan, "diversity", plan.out / POOL, "--subsets", plan.out / "subsets.csv", *dice, "--to", to)


def _kinds(plan: Plan) -> dict[str, str]:
    """How each subset was chosen."""
    return {row["subset"]: row["chosen"] for row in _rows(plan.out / "subsets.csv")}


def _print_table(plan: Plan, kinds: Mapping[str, str]) -> None:
    """Subsets with their figures, least diverse first, and how these go along with Dice; ``table.csv``."""
    told = json.loads((plan.out / "diversity" / "diversity.json").read_text(encoding="utf-8"))
    dices = {row["subset"]: float(row["dice"]) for row in _rows(plan.out / "dice.csv")}
    rows = [
        {
            "subset": name,
            "chosen": kinds[name],
            "lesions": one["lesions"],
            "volume_ml": round(one["volume_ml"], 1),
            "sites": round(one["sites"], 1),
            "sites_rarefied": round(one["sites_rarefied"], 1),
            "dice": dices[name],
        }
        for name, one in sorted(told["sets"].items(), key=lambda item: item[1]["sites"])
    ]
    write_whole(plan.out / "table.csv", csv_bytes(rows))
    print(f"\nSynthetic training subsets of {plan.size} studies, networks of {plan.rounds} rounds, Dice (mean) on")
    print(f"{plan.studies} synthetic studies of held-out men; rarefied: to {told['rarefied_to_lesions']} lesions each")
    width = max(len(name) for name in kinds)
    print(f"{'subset':<{width}} {'chosen':>7} {'lesions':>8} {'mL':>8} {'sites':>7} {'rarefied':>9} {'Dice':>7}")
    for row in rows:
        print(
            f"{row['subset']:<{width}} {row['chosen']:>7} {row['lesions']:>8} {row['volume_ml']:>8.1f} "
            f"{row['sites']:>7.1f} {row['sites_rarefied']:>9.1f} {row['dice']:>7.4f}"
        )
    print("\n".join(_relations(rows, told["relation"])))


def _relations(rows: Sequence[Row], relation: Mapping[str, Any] | None) -> Iterator[str]:
    """Spearman's rho of sites and Dice, then that of what should not differ between the subsets."""
    if relation is None:
        yield "Spearman's rho of sites and Dice: none"
        return
    yield _rho("sites", relation["rho"], relation["interval"], relation["p"])
    for column in ("sites_rarefied", "lesions", "volume_ml"):
        try:
            found = diversity_and_dice([row[column] for row in rows], [row["dice"] for row in rows])
        except ValueError:  # the same in all subsets, as lesions may be
            continue
        yield _rho(column, found.rho, found.interval, found.p)


def _rho(column: str, rho: float, interval: Sequence[float], p: float) -> str:
    low, high = interval
    return f"Spearman's rho of {column} and Dice: {rho:.2f} (95 % {low:.2f} to {high:.2f}), permutation p {p_text(p)}"


def _psma(plan: Plan, *arguments: object) -> None:
    """A ``psma`` command of this environment, with the networks of this study. Raises CalledProcessError."""
    networks = [str(path.parent) for path in sorted((plan.out / "networks").glob("*/package"))]
    places = {"PSMA_MODELS": os.pathsep.join(networks), "XDG_DATA_HOME": str(plan.out / "trusted")}
    command = [str(Path(sys.executable).parent / "psma"), *map(str, arguments)]
    subprocess.run(command, env={**os.environ, **places}, check=True)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _plan(arguments: Sequence[str] | None) -> Plan:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    base = os.environ.get("PSMA_TEST_DATA")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for everything that is made")
    parser.add_argument(
        "--organ-maps", type=Path, metavar="FOLDER", default=Path(base, "psma-organ-labels") if base else None
    )
    for name, meaning in {
        "pool": "studies to choose from",
        "subsets": "training subsets, and so networks",
        "size": "studies in a subset",
        "rounds": "of training",
        "studies": "of held-out men that the networks are tested on",
        "seed": "of studies, subsets and networks",
        "threads": "of the CPU that a training takes",
    }.items():
        help_text = f"{meaning} (default: %(default)s)"
        parser.add_argument(f"--{name}", type=int, default=getattr(Plan, name), help=help_text)
    values = vars(parser.parse_args(arguments))
    if values["organ_maps"] is None:
        parser.error("give --organ-maps FOLDER, or set PSMA_TEST_DATA to the folder that holds psma-organ-labels.")
    return Plan(**{**values, "out": values["out"].resolve()})


if __name__ == "__main__":
    sys.exit(main())
