"""Lesions of several studies joined into tracks (:mod:`PSMATrackingLib.track_records`), and which of them are new."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from .matching_result import Matching
from .track_builder import TrackBuilder, check_matchings
from .track_decisions import TrackDecision, check_decisions, cut_links, decided_status
from .track_records import STATUSES, UNSEEN, Track

__all__ = ["STATUSES", "UNSEEN", "Track", "TrackDecision", "build_tracks", "new_since"]


def build_tracks(
    lesions: Sequence[Sequence[int]],
    matchings: Mapping[tuple[int, int], Matching],
    decisions: Sequence[TrackDecision] = (),
    spect: Collection[int] = (),
) -> list[Track]:
    """Join the lesions of studies into tracks.

    Each lesion is looked for in the previous study first, then, if it has no link there, in the one before that and
    so on as far as matchings are given. Primary links carry a track on; a lesion that is linked otherwise starts a
    track of its own. Lesions of a PET are looked for in earlier PET first and only then in SPECT, where neighbors run
    together: what SPECT shows as one and PET before and after as several stays several.

    Parameters
    ----------
    lesions : sequence of sequences of int
        Lesion numbers of each study, studies in the order of their dates.
    matchings : mapping of (int, int) to Matching
        By the indices of the earlier and the later study. Those of consecutive studies are needed; those of studies
        further apart are what makes lesions reappear. Decisions on links are in them already
        (:func:`PSMATrackingLib.matching_result.decided`).
    decisions : sequence of TrackDecision
        What a reader said about tracks; of two about the same track and study the later one counts.
    spect : collection of int
        Indices of the studies that are SPECT.

    Returns
    -------
    list of Track, by ascending number.

    Raises
    ------
    ValueError
        When the matching of consecutive studies is missing, a pair of indices is impossible, a link or decision names
        a lesion that its study does not have, or a lesion has two primary links to one study.
    """
    check_matchings(lesions, matchings)
    tracks = _build(lesions, matchings, spect)
    if not decisions:
        return tracks
    check_decisions(decisions, lesions)
    held = {place: track for track in tracks for place in track.lesions.items()}
    latest = {(held[one.study, one.lesion].number, one.at_study): one for one in decisions}
    standing = list(latest.values())
    uncut = {place: track.lesions for place, track in held.items()}
    tracks = _build(lesions, cut_links(matchings, standing, uncut), spect)
    return [replace(track, status=_decided(track, standing)) for track in tracks]


def _decided(track: Track, decisions: Sequence[TrackDecision]) -> dict[int, str]:
    about = [one for one in decisions if track.lesions.get(one.study) == one.lesion]
    return decided_status(track.lesions, track.status, about)


def _build(
    lesions: Sequence[Sequence[int]], matchings: Mapping[tuple[int, int], Matching], spect: Collection[int]
) -> list[Track]:
    builder = TrackBuilder(lesions, matchings, spect)
    for study in range(len(lesions)):
        builder.add_study(study)
    return builder.tracks()


def new_since(tracks: Sequence[Track], baseline_index: int, study_index: int) -> list[int]:
    """Lesions of a study that are new against a baseline study: none of their track's ancestry was there.

    The ancestry is the track itself with its parents, and theirs, as far as they had split from or merged into it by
    that study. A lesion that the baseline study did not image or could not show is not counted: it cannot be known to
    be new.

    Parameters
    ----------
    tracks : sequence of Track
    baseline_index, study_index : int
        Indices of the two studies, baseline first.

    Returns
    -------
    list of int, lesion numbers of the study, ascending.
    """
    by_number = {track.number: track for track in tracks}
    found = []
    for track in tracks:
        if study_index not in track.lesions:
            continue
        ancestry = _ancestry(track, by_number, study_index)
        known = any(baseline_index in member.lesions for member in ancestry)
        unseen = any(member.status.get(baseline_index) in UNSEEN for member in ancestry)
        if not known and not unseen:
            found.append(track.lesions[study_index])
    return sorted(found)


def _ancestry(track: Track, by_number: Mapping[int, Track], study: int) -> list[Track]:
    """The track and all its parents, transitively, up to a study."""
    reached = {track.number}
    waiting = [track.number]
    while waiting:
        member = by_number[waiting.pop()]
        for parent in member.parents:
            if parent not in reached and member.parents_since.get(parent, 0) <= study:
                reached.add(parent)
                waiting.append(parent)
    return [by_number[number] for number in sorted(reached)]
