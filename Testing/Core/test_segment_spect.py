"""SPECT in the main job: networks made for it, with the lesions of the PET; what is segmented anew, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from analytic_body import Body, Ellipsoid, make_body
from PSMASegmentLib.networks import package as packages
from PSMATheranosticsLib.case_check import check_case
from PSMATheranosticsLib.case_store import CaseStore
from PSMATheranosticsLib.errors import InputError
from PSMATheranosticsLib.labels_import import import_labels
from PSMATheranosticsLib.pipeline import segment_studies, segment_study
from PSMATheranosticsLib.pipeline_prior import prior_study
from PSMATheranosticsLib.study import Scaling
from tiny_case import PATIENT, study
from tiny_segmenters import Threshold, describe, program_of, write_package

torch = pytest.importorskip("torch")

SPINE = Ellipsoid((0, 15, 200), (12, 12, 12), 15.0)
HIP = Ellipsoid((-70, 0, -200), (12, 12, 12), 9.0)
SHIFT_MM = (24.0, -12.0, 18.0)  # of the whole man between the two scans
BQ_PER_SUV = 2e4


class WherePrior(torch.nn.Module):
    """Lesion where the second channel is 1 and uptake above SUV 5 as well."""

    def forward(self, channels: torch.Tensor) -> torch.Tensor:
        lesion = 10.0 * (channels[:, 0:1] - 1.0) * channels[:, 1:2] - 5.0 * (1.0 - channels[:, 1:2])
        return torch.cat([-lesion, lesion], dim=1)


@pytest.fixture(scope="module")
def body() -> Body:
    return make_body((SPINE, HIP), spacing_mm=8.0, z_range=(-250.0, 260.0))


def moved(image: sitk.Image) -> sitk.Image:
    """The same image of a man who lies elsewhere."""
    made = sitk.Image(image)
    made.SetOrigin([a + b for a, b in zip(image.GetOrigin(), SHIFT_MM, strict=True)])
    return made


@pytest.fixture
def case(body: Body, tmp_path: Path):
    """A PET, whose first lesion was drawn elsewhere, and a SPECT one day later: studies 1 and 2."""
    made = CaseStore.create(tmp_path / "case", PATIENT)
    pet = replace(study(1), scaling=Scaling("SUVbw", 1.0, "synthetic"), emission=body.emission, ct=body.ct)
    spect = replace(
        pet,
        modality="SPECT",
        tracer="177Lu-PSMA-617",
        acquired=pet.acquired + timedelta(days=1),
        emission=sitk.Cast(moved(body.emission) * BQ_PER_SUV, sitk.sitkFloat32),
        ct=moved(body.ct),
        scaling=Scaling("Bq/mL", 1.0, "synthetic", suv_factor=1.0 / BQ_PER_SUV),
        fingerprint="synthetic SPECT",
        origin=replace(pet.origin, frame_of_reference_uid="1.2.33", series_instance_uid="1.2.99", modality="NM"),
    )
    for one in (pet, spect):
        made.add_study(one)
    file = tmp_path / "drawn.nrrd"
    sitk.WriteImage(sitk.Cast(body.truth == 1, sitk.sitkUInt16), str(file))
    import_labels(made, 1, file)
    yield made
    made.close()


def install(folder: Path, network: torch.nn.Module, **changes) -> bytes:
    """A trusted package under this name."""
    program = program_of(network)
    write_package(folder, program, describe(program, spacing_mm=[8.0] * 3, tracers=["any"], **changes))
    packages.trusted_programs().add(describe(program)["sha256"])
    return program


def with_prior() -> list[dict]:
    return [*describe(b"")["channels"], {"image": "prior", "units": "mask", "normalize": [], "optional": True}]


def overlap(case: CaseStore, study_id: int, truth: sitk.Image) -> float:
    """Share of the true voxels that lesions of a study cover."""
    inside = sitk.GetArrayViewFromImage(truth) > 0
    return float((sitk.GetArrayFromImage(case.labels(study_id))[inside] > 0).mean())


def test_the_lesions_of_the_pet_are_handed_over_and_anew_when_they_change(
    case: CaseStore, body: Body, own_user_folder: Path
):
    install(own_user_folder / "m4", WherePrior(), channels=with_prior(), modalities=["SPECT"])
    assert segment_study(case, 2, "package:m4")
    record = case.segmentation(2)
    assert record is not None
    prior = record.provenance["prior"]
    assert prior["study"] == "Baseline" and prior["registration"]["reference"] == "CT"
    assert prior["registration"]["verdict"] in ("good", "doubtful")
    assert record.provenance["absent_channels"] == [] and record.provenance["units"] == "SUVbw"
    assert overlap(case, 2, body.truth == 1) > 0.8  # nothing would be found where the man lay before
    assert overlap(case, 2, body.truth == 2) == 0.0  # nobody marked it on the PET
    (lesion,) = case.lesions(2)
    assert 9.0 < lesion.measures.suv_max < 16.0  # in SUV, not in Bq/mL
    assert lesion.probability is not None and lesion.probability > 0.9 and not lesion.low_evidence
    assert check_case(case.folder) == []
    assert not segment_study(case, 2, "package:m4")
    case.decide_lesion(1, 1, "rejected")
    assert segment_study(case, 2, "package:m4")
    assert case.lesions(2) == []  # without a lesion that counts on the PET there is nothing to hand over
    record = case.segmentation(2)
    assert record is not None
    assert "prior" not in record.provenance and record.provenance["absent_channels"] == ["prior"]


def test_a_study_is_segmented_anew_when_the_model_behind_the_name_is_another(case: CaseStore, own_user_folder: Path):
    install(own_user_folder / "m3", Threshold(), modalities=["PET", "SPECT"])
    assert segment_study(case, 2, "package:m3") and not segment_study(case, 2, "package:m3")
    ten = [{"image": "emission", "units": "SUVbw", "normalize": [{"divide": 20.0}]}]
    before = len(case.lesions(2))
    install(own_user_folder / "m3", Threshold(), modalities=["PET", "SPECT"], channels=ten)
    assert segment_study(case, 2, "package:m3")
    assert 0 < len(case.lesions(2)) < before
    assert not segment_study(case, 2, "package:m3")


def test_a_method_is_only_for_the_studies_it_was_made_for(case: CaseStore, own_user_folder: Path):
    install(own_user_folder / "m3", Threshold(), modalities=["SPECT"])
    with pytest.raises(InputError, match="is a PET: the method package:m3 was made for SPECT"):
        segment_study(case, 1, "package:m3")
    with pytest.raises(InputError, match="is a SPECT: the method rules was not made for its resolution"):
        segment_study(case, 2, "rules")
    segment_studies(case, None, "package:m3")
    assert case.segmentation(2) is not None
    assert case.segmentation(1).provenance["method"] == "imported"  # taken from a file, left alone


def test_a_spect_without_a_factor_says_what_is_missing(body: Body, tmp_path: Path, own_user_folder: Path):
    install(own_user_folder / "m3", Threshold(), modalities=["SPECT"])
    with CaseStore.create(tmp_path / "other", PATIENT) as made:
        scaling = Scaling("Bq/mL", 1.0, "synthetic")
        made.add_study(replace(study(1), modality="SPECT", emission=body.emission, scaling=scaling))
        with pytest.raises(InputError, match="SUVs are not known"):
            segment_study(made, 1, "package:m3")


def test_the_pet_is_the_last_one_before_the_spect(tmp_path: Path):
    with CaseStore.create(tmp_path / "case", PATIENT) as made:
        spect = replace(study(5), modality="SPECT", fingerprint="spect")
        ids = {day: made.add_study(one) for day, one in ((1, study(1)), (3, study(3)), (5, spect), (9, study(9)))}
        assert prior_study(made, made.study(ids[5])) is None
        for day in (9, 3, 1):
            whole = np.ones((8, 8, 8), np.uint16)
            labels = sitk.GetImageFromArray(whole)
            labels.CopyInformation(made.load_image(made.study(ids[day]).emission_id))
            sitk.WriteImage(labels, str(tmp_path / "labels.nrrd"))
            import_labels(made, ids[day], tmp_path / "labels.nrrd")
            found = prior_study(made, made.study(ids[5]))
            assert found is not None and found.study_id == ids[9 if day == 9 else 3]
        assert prior_study(made, made.study(ids[3])) is None
