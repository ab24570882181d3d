"""How lesions look in the scene: named by track and colored by status once they were followed, by number before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import segments
from .panel_rows import statusColor
from .segments import LesionSegment

if TYPE_CHECKING:
    from PSMATheranosticsLib.case_store import CaseStore
    from PSMATheranosticsLib.results_model import StudyResult


def lesionLook(lesion: int, track: str = "", trackingUid: str = "", status: str = "") -> LesionSegment:
    """How one lesion is shown. ``track`` is the label of its track, "" before it was followed."""
    if not track:
        return LesionSegment(lesion, f"Lesion {lesion}", statusColor(""))
    tags = {segments.TAG_TRACK: track, segments.TAG_TRACKING_UID: trackingUid, segments.TAG_STATUS: status}
    return LesionSegment(lesion, f"{track} {status}", statusColor(status), tags)


def looksOf(study: StudyResult) -> list[LesionSegment]:
    """How the lesions of a study that count are shown."""
    return [lesionLook(found.lesion, found.track, found.tracking_uid, found.status) for found in study.lesions]


def looksNow(case: CaseStore, studyId: int, coloring: str) -> list[LesionSegment]:
    """The same from the store, for one study and without collecting results: fit for every edit.

    ``coloring`` is what they are colored by, see ``display_presets``.
    """
    from .display_presets import colored

    tracks = {track.number: track for track in case.tracks()}
    looks, regions = [], {}
    for found in case.lesions(studyId):
        regions[found.lesion] = found.region
        track = None if found.track is None else tracks.get(found.track)
        if track is None:
            looks.append(lesionLook(found.lesion))
        else:
            status = track.status.get(studyId, "")
            looks.append(lesionLook(found.lesion, track.label, track.tracking_uid, status))
    return colored(looks, coloring, regions)
