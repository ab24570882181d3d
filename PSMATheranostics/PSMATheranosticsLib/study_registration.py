"""The studies of a case brought into one space: each is registered to the baseline, and from there to the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.organ_names import physiological_organ
from PSMATrackingLib.inversion import invert
from PSMATrackingLib.matching_settings import coarser
from PSMATrackingLib.points import map_points, map_points_back
from PSMATrackingLib.registration import REGISTRATION_METHODS, Registration, RegistrationImages, register

from .case_store import CaseStore
from .errors import InputError
from .lib_errors import naming
from .progress import Progress, part
from .records import RegistrationRecord, StudyRecord
from .transform_text import rounded, transform_from_text, transform_to_text

Point = tuple[float, float, float]
Pairs = Sequence[tuple[Point, Point]]
AROUND_LESIONS_MM = 100.0  # about their centers, where the way from one later study to another has to be known
VERSION = 2  # of the registration methods: what an earlier version found is found anew
# Methods that need something of the user for each study, so that they are not used for the others.
GUIDED = ("landmarks", "given")
# Organs whose uptake marks the same place in every study; bladder and bowel fill and empty.
_STEADY_ORGANS = ("liver", "spleen", "kidney", "salivary gland", "lacrimal gland")


@dataclass(frozen=True)
class RegistrationRequest:
    """How studies are to be registered.

    ``method``: "auto" or a name in ``REGISTRATION_METHODS``. ``landmarks``: for the method "landmarks", by study id the
    pairs of points (LPS mm) that belong together, baseline first. ``given``: for the method "given", by study id the
    transform that maps points of the baseline to that study.
    """

    method: str = "auto"
    landmarks: Mapping[int, Pairs] = field(default_factory=dict)
    given: Mapping[int, sitk.Transform] = field(default_factory=dict)

    def check(self, others: Sequence[StudyRecord]) -> None:
        """Raise InputError for a request that cannot be carried out on these studies beside the baseline."""
        require_method(self.method)
        for method, what, hints in (
            ("landmarks", "pairs of landmarks", self.landmarks),
            ("given", "a transform", self.given),
        ):
            if self.method == method and not hints:
                raise InputError(f"The registration method '{method}' needs {what} for a study. Hand them over.")
            if self.method != method and hints:
                raise InputError(
                    f"The registration method '{self.method}' uses no {method} hints. Choose the method '{method}'."
                )
            strange = sorted(set(hints) - {study.study_id for study in others})
            if strange:
                known = ", ".join(f"{study.study_id} ({study.label})" for study in others) or "none"
                raise InputError(
                    f"Study {strange[0]} cannot be registered to the baseline. Studies beside the baseline that have "
                    f"lesions: {known}."
                )

    def method_for(self, study_id: int) -> str:
        """The method for one study: "auto" where the user said nothing about it that the method needs."""
        return "auto" if self.method in GUIDED and study_id not in {**self.landmarks, **self.given} else self.method


def require_method(method: str) -> None:
    """Raise InputError for a registration method that does not exist or cannot be used here."""
    if method == "auto":
        return
    if method not in REGISTRATION_METHODS:
        known = ", ".join(["auto", *REGISTRATION_METHODS])
        raise InputError(f"There is no registration method '{method}'. Available: {known}.")
    missing = REGISTRATION_METHODS[method].available()
    if missing:
        raise InputError(f"The registration method '{method}' cannot be used here: {missing}")


def by_study(hint: Any, others: Sequence[StudyRecord], what: str) -> dict[int, Any]:
    """A hint for one study as a map by study id; a map stays as it is. ``what`` names it in the message.

    Raises InputError where it is not clear which study is meant.
    """
    if isinstance(hint, Mapping):
        return dict(hint)
    if hint is None or (isinstance(hint, Sequence) and not hint):
        return {}
    if len(others) != 1:
        known = ", ".join(f"{study.study_id} ({study.label})" for study in others) or "none"
        raise InputError(f"Say for which study the {what} is. Studies beside the baseline: {known}.")
    return {others[0].study_id: hint}


def register_studies(
    case: CaseStore, studies: Sequence[StudyRecord], request: RegistrationRequest, progress: Progress
) -> None:
    """Register every study to the baseline and store that, one step of the journal for each.

    A study that was registered with the same request before is left alone. So is one that a guided method says nothing
    about, as long as it is registered somehow, and "auto" leaves what a user guided.

    Raises InputError for a request that cannot be carried out.
    """
    baseline = case.baseline()
    others = [study for study in studies if study.study_id != baseline.study_id]
    request.check(others)
    todo = [study for study in others if not _is_done(case.registration(baseline.study_id, study.study_id), request)]
    with_organs = any(_by_emission(baseline, study) for study in todo)
    fixed = registration_images(case, baseline, with_organs) if todo else None
    for index, study in enumerate(todo):
        step = part(progress, index / len(todo), (index + 1) / len(todo), f"Registering {study.label}")
        if fixed is not None:
            _register(case, fixed, baseline, study, request, step)


def transform_between(case: CaseStore, first: StudyRecord, second: StudyRecord) -> tuple[sitk.Transform, str]:
    """Map from points of ``first`` to points of ``second`` (LPS mm), and the coarser method of those it was found with.

    It leads through the baseline, to which both are registered. Where that takes the inverse of a deformation, it holds
    around the lesions of the two studies. Raises InputError where one is not registered.
    """
    to_first, method_first = _from_baseline(case, first)
    to_second, method_second = _from_baseline(case, second)
    method = coarser(method_first, method_second)
    if first.is_baseline:
        return to_second, method
    back = to_first.GetInverse() if to_first.IsLinear() else _way_back(case, first, second, to_first, to_second)
    if second.is_baseline:
        return back, method
    # SimpleITK applies the transform that was added last first.
    return sitk.CompositeTransform([to_second, back]), method


def _way_back(
    case: CaseStore, first: StudyRecord, second: StudyRecord, to_first: sitk.Transform, to_second: sitk.Transform
) -> sitk.Transform:
    """The inverse of a deformable transform in the part of the body where the lesions of two studies are."""
    own, others = (
        np.array([lesion.measures.centroid_mm for lesion in case.lesions(study.study_id)]).reshape(-1, 3)
        for study in (first, second)
    )
    places = np.concatenate([own, map_points(to_first, map_points_back(to_second, others))])
    if not len(places):
        places = np.array([to_first.TransformPoint((0.0, 0.0, 0.0))])
    low, high = places.min(axis=0) - AROUND_LESIONS_MM, places.max(axis=0) + AROUND_LESIONS_MM
    domain = sitk.Image(2, 2, 2, sitk.sitkUInt8)
    domain.SetOrigin(low.tolist())
    domain.SetSpacing((high - low).tolist())
    return invert(to_first, domain)[0]


def _is_done(stored: RegistrationRecord | None, request: RegistrationRequest) -> bool:
    if stored is None:
        return False
    method = request.method_for(stored.moving_id)
    if method != request.method:  # nothing was said about this study
        return True
    if method == "auto" and stored.record.get("requested") in GUIDED:  # what a user did is not replaced by itself
        return True
    if method == "landmarks":
        return stored.record.get("landmarks") == _plain(request.landmarks[stored.moving_id])
    made_by = (stored.record.get("requested"), stored.record.get("version"))
    return method != "given" and made_by == (method, VERSION)


def _register(
    case: CaseStore,
    fixed: RegistrationImages,
    baseline: StudyRecord,
    study: StudyRecord,
    request: RegistrationRequest,
    progress: Progress,
) -> None:
    method = request.method_for(study.study_id)
    stored = case.registration(baseline.study_id, study.study_id)
    initial, pairs = None, request.landmarks.get(study.study_id, ()) if method == "landmarks" else ()
    if method == "given":
        initial = request.given[study.study_id]
    elif method == "landmarks" and stored is not None:
        initial = _corrected(stored)
    with naming(f"{study.label} and {baseline.label}"):
        moving = registration_images(case, study, _by_emission(baseline, study))
        found = register(fixed, moving, method, progress, initial=initial, landmarks=pairs)
    record = _record(found, method)
    if pairs:
        record["landmarks"] = _plain(pairs)
        record["corrects"] = None if initial is None else transform_to_text(initial)
    case.save_registration(baseline.study_id, study.study_id, rounded(found.transform), record)


def _record(found: Registration, requested: str) -> dict[str, Any]:
    return {
        "version": VERSION,
        "requested": requested,
        "method": found.method,
        "reference": found.reference,
        "verdict": found.verdict,
        "reasons": list(found.reasons),
        "quality": dict(found.quality),
        "seconds": round(found.seconds, 1),
        "device": found.device,
        "notes": list(found.notes),
    }


def _corrected(stored: RegistrationRecord) -> sitk.Transform | None:
    """What landmarks are to correct: the registration as it was before any were used, so that one can be taken back."""
    if stored.record.get("method") != "landmarks":
        return stored.transform
    text = stored.record.get("corrects")
    return None if text is None else transform_from_text(text)


def _plain(pairs: Pairs) -> list[list[list[float]]]:
    return [[[float(value) for value in point] for point in pair] for pair in pairs]


def _from_baseline(case: CaseStore, study: StudyRecord) -> tuple[sitk.Transform, str]:
    """The transform from the baseline to a study, and the method."""
    if study.is_baseline:
        return sitk.Transform(3, sitk.sitkIdentity), "identity"
    stored = case.registration(case.baseline().study_id, study.study_id)
    if stored is None:
        raise InputError(f"{study.label} has not been registered to the baseline yet: run the tracking again.")
    return stored.transform, str(stored.record["method"])


def _by_emission(baseline: StudyRecord, study: StudyRecord) -> bool:
    """Whether two studies can only be registered by their PET or SPECT, where organs count."""
    return baseline.ct_id is None or study.ct_id is None


def registration_images(case: CaseStore, study: StudyRecord, with_organs: bool) -> RegistrationImages:
    """What a study offers to be registered by; ``with_organs``: also its organs, for where a CT is missing."""
    return RegistrationImages(
        emission=case.load_image(study.emission_id),
        ct=None if study.ct_id is None else case.load_image(study.ct_id),
        frame_of_reference="" if study.origin.generated else study.origin.frame_of_reference_uid,
        lesions=None if case.segmentation(study.study_id) is None else case.labels(study.study_id),
        organs=_steady_organs(case, study) if with_organs else None,
    )


def _steady_organs(case: CaseStore, study: StudyRecord) -> sitk.Image | None:
    """The organ map without organs whose uptake moves; None where there is no map."""
    if study.organs_id is None:
        return None
    organs = {value: physiological_organ(name) or "" for value, name in study.organ_names.items()}
    others = {value: 0 for value, organ in organs.items() if not organ.endswith(_STEADY_ORGANS)}
    return sitk.ChangeLabel(case.load_image(study.organs_id), changeMap=others)
