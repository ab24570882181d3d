"""Results of a large case cost in proportion to its lesions."""

from __future__ import annotations

import time

from example_case import FIRST_DAY, PATIENT, SETTINGS
from PSMASegmentLib.measure import Measures
from PSMATheranosticsLib.records import LesionRecord, LinkRecord, SegmentationRecord, StudyRecord, TrackRecord
from PSMATheranosticsLib.results import collect_results
from PSMATheranosticsLib.study import DicomOrigin, Scaling

SPHERE = {"center_mm": [0.0, 0.0, 0.0], "radius_mm": 10.0, "suv_sd": 0.1, "voxels": 50, "source": "automatic"}


class LargeCase:
    """300 lesions on each of five studies, without images: what a store would hand over."""

    patient = PATIENT
    folder = "large"

    def __init__(self, studies: int = 5, lesions: int = 300) -> None:
        origin = DicomOrigin("1", "2", "3", "4", ())
        scaling = Scaling("SUVbw", 1.0, "none")
        numbers = range(1, lesions + 1)
        self._studies = [
            StudyRecord(
                study_id=index + 1,
                label=f"Study {index}",
                is_baseline=index == 0,
                acquired=FIRST_DAY.replace(month=1 + 2 * index),
                modality="PET",
                tracer="68Ga-PSMA-11",
                emission_id=f"large {index}",
                ct_id=None,
                organs_id=None,
                organ_names={},
                scaling=scaling,
                origin=origin,
                source="synthetic",
                fingerprint=str(index),
                injected_activity_mbq=None,
                minutes_after_injection=None,
                weight_kg=None,
                scanner="",
                emission_max=20.0,
                warnings=(),
            )
            for index in range(studies)
        ]
        measures = [Measures(n, 10, 1.0, 9.0, 5.0, 7.0, 5.0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)) for n in numbers]
        self._lesions = {
            study.study_id: [
                LesionRecord(study.study_id, m.lesion, m, "rules", "", "undecided", "", m.lesion) for m in measures
            ]
            for study in self._studies
        }
        ids = [study.study_id for study in self._studies]
        self._tracks = [
            TrackRecord(n, f"L{n:02d}", f"2.25.{n}", dict.fromkeys(ids, n), dict.fromkeys(ids, "persistent"), [])
            for n in numbers
        ]
        for track in self._tracks[::10]:  # new ones, which cost more
            del track.lesions[ids[0]]
        self._links = [
            LinkRecord(first, second, n, n, "one-to-one", 0.0, 1.0, 0.9, "", True, "proposed")
            for first in ids
            for second in ids
            if first < second
            for n in numbers
        ]

    def reading(self):
        from contextlib import nullcontext

        return nullcontext()

    def studies(self):
        return self._studies

    def baseline(self):
        return self._studies[0]

    def segmentation(self, study_id):
        return SegmentationRecord(study_id, "labels", {"method": "rules", "settings": SETTINGS}, [], FIRST_DAY)

    def lesions(self, study_id, rejected=False):
        return self._lesions[study_id]

    def tracks(self):
        return self._tracks

    def links(self):
        return self._links

    def registrations(self):
        return []

    def responses(self):
        return []

    def orphaned_decisions(self):
        return []

    def track_decisions(self):
        return []

    def baseline_is_marked(self):
        return True

    def matching(self, baseline_id, followup_id):
        return None

    def last_sign_off(self):
        return None

    def setting(self, name):
        if name == "reference regions":
            names = {"blood pool": 1.5, "liver": 5.0, "left parotid": 15.0}
            regions = {region: {**SPHERE, "suv_mean": suv} for region, suv in names.items()}
            return {str(study.study_id): regions for study in self._studies}
        if name == "psa":
            return {"values": [{"day": f"2026-0{month}-05", "ng_ml": 10.0, "source": "x"} for month in range(1, 9)]}
        return {}

    def load_image(self, image_id):
        import SimpleITK as sitk

        return sitk.Image([2, 2, 2], sitk.sitkFloat32)


def _cpu_seconds(case: LargeCase) -> float:
    """CPU seconds of the results of a case, the least of three tries: others may disturb one, none makes it faster."""
    tries = []
    for _ in range(3):
        start = time.process_time()
        collect_results(case).to_dict()  # type: ignore[arg-type]
        tries.append(time.process_time() - start)
    return min(tries)


def test_ten_times_the_lesions_cost_about_ten_times_as_much():
    few, many = LargeCase(lesions=60), LargeCase(lesions=600)
    assert _cpu_seconds(many) < 30.0 * _cpu_seconds(few)  # each lesion against each other would be a hundred times


def test_300_lesions_on_5_studies_are_all_there():
    results = collect_results(LargeCase())  # type: ignore[arg-type]
    plain = results.to_dict()
    assert len(results.tracks) == 300
    assert len(plain["studies"][4]["lesions"]) == 300
    assert {lesion["mi_psma"] for lesion in plain["studies"][4]["lesions"]} == {2}
    assert len(results.conflicts) >= 30
    # four follow-ups against the baseline, three of them against the one before as well
    assert [len(response.changes) for response in results.responses_by_lesion] == [300] * 7
