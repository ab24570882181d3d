"""Following the lesions of a case: registration, links and tracks, and what a reader does about them.

Results are proposals; decisions on links and tracks stand whatever is computed anew.
"""

from __future__ import annotations

from collections.abc import Mapping

import SimpleITK as sitk

from .case_store import CaseStore
from .lesion_matching import match_pairs
from .live_tracks import followed_studies, retrack, save_followed
from .progress import Progress, part
from .study_registration import Pairs, RegistrationRequest, by_study, register_studies
from .track_actions import accept_track, link_lesions, mark_track, not_a_lesion, unlink_lesions

__all__ = [
    "accept_track",
    "link_lesions",
    "mark_track",
    "not_a_lesion",
    "rematch",
    "retrack",
    "track_lesions",
    "unlink_lesions",
]


def track_lesions(
    case: CaseStore,
    registration: str = "auto",
    progress: Progress | None = None,
    *,
    landmarks: Pairs | Mapping[int, Pairs] = (),
    given: sitk.Transform | Mapping[int, sitk.Transform] | None = None,
) -> None:
    """Register every study to the baseline, link the lesions of each pair of studies and store the tracks.

    A study that was registered by this method before is not registered again, and "auto" does not replace a
    registration by landmarks or a given transform; another method by its name does. A SPECT without a segmentation is
    left out: none is made for it automatically. Decisions on links and tracks stand.

    Args:
        case: A case open for writing.
        registration: "auto" or a name in ``REGISTRATION_METHODS``.
        progress: Told how far the work is; may raise to cancel.
        landmarks: For the method "landmarks", pairs of points (LPS mm), baseline first: by study id, or those of the
            only study beside the baseline. They correct the registration that is stored. Studies without pairs keep
            theirs.
        given: For the method "given", what maps points of the baseline to a study: by study id, or for the only study
            beside the baseline.

    Raises:
        InputError: a PET has no lesions yet because it was not segmented, or the registration cannot be made so.
    """
    studies = followed_studies(case)
    others = [study for study in studies if not study.is_baseline]
    pairs, transforms = by_study(landmarks, others, "list of landmarks"), by_study(given, others, "transform")
    request = RegistrationRequest(registration, pairs, transforms)
    register_studies(case, studies, request, part(progress, 0.0, 0.7))
    _match(case, part(progress, 0.7, 1.0))


def rematch(case: CaseStore, progress: Progress | None = None) -> None:
    """Link the lesions of each pair of studies anew, by the registrations that are stored, and make the tracks.

    For lesions that were edited, added or decided on since. One step; none where nothing changes.

    Raises:
        InputError: a PET has not been segmented, or a study was not registered to the baseline.
    """
    _match(case, part(progress, 0.0, 1.0))


def _match(case: CaseStore, progress: Progress) -> None:
    studies = followed_studies(case)
    proposals = match_pairs(case, studies, part(progress, 0.0, 0.9, "Linking lesions"))
    lesions = {study.study_id: [one.lesion for one in case.lesions(study.study_id)] for study in studies}
    tracks = save_followed(case, studies, lesions, proposals)
    progress(1.0, f"{tracks} tracks")
