"""Tracks from links and decisions: quick enough to be made again after every decision of a reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from PSMATrackingLib.matching import Matching, decided
from PSMATrackingLib.tracks import Track, TrackDecision, build_tracks

from .case_store import CaseStore
from .errors import InputError
from .lesion_matching import Lesions, Proposal, Proposals, stored_proposals, volumes_ml
from .lib_errors import naming
from .records import LinkInput, LinkRecord, StudyRecord, TrackDecisionRecord, TrackInput
from .track_marks import TrackMarks, mark_of

Pair = tuple[int, int]
Parts = dict[Pair, tuple[str, bool]]  # lesions of a link -> its kind, and whether the track goes on along it
Confluent = Sequence[tuple[Sequence[int], Sequence[int]]]
FOLLOWED = "Follow lesions over the studies"


@dataclass(frozen=True)
class _Decisions:
    """What readers have decided on links and tracks, as far as it is about lesions that are followed."""

    links: Mapping[Pair, Sequence[LinkRecord]]  # by study ids
    tracks: Sequence[TrackDecisionRecord]


def followed_studies(case: CaseStore) -> list[StudyRecord]:
    """The studies whose lesions are followed: all PET, and each SPECT with a segmentation, by time.

    Raises InputError where a PET has not been segmented.
    """
    studies = []
    for study in case.studies():
        segmented = case.segmentation(study.study_id) is not None
        if not segmented and study.modality == "PET":
            raise InputError(f"{study.label} has not been segmented yet: find its lesions first, then follow them.")
        if segmented:
            studies.append(study)
    return studies


def retrack(case: CaseStore) -> None:
    """Make the tracks again from the stored links and all decisions; nothing is registered or matched.

    A step of its own, or a part of the one that is open. Lesions that were added after the last matching have no
    track until they are linked by hand or the lesions are matched again.

    Raises InputError where studies have not been matched yet.
    """
    studies = followed_studies(case)
    lesions = _known_lesions(case, studies)
    followed = _follow(case, studies, lesions, stored_proposals(case, studies, lesions))
    with case.step(FOLLOWED):
        _save(case, followed)


def save_followed(case: CaseStore, studies: Sequence[StudyRecord], lesions: Lesions, proposals: Proposals) -> int:
    """Store new proposals, and the tracks that follow from them and all decisions, in one step.

    What is stored already is left alone; where nothing is new there is no step. Returns the number of tracks.
    """
    followed = _follow(case, studies, lesions, proposals)
    with case.step(FOLLOWED):
        for pair, proposal in proposals.items():
            _save_links(case, pair, proposal, followed.parts[pair], followed.confluent[pair])
        _save(case, followed)
    return len(followed.tracks)


@dataclass(frozen=True)
class _Followed:
    """What is to be stored: tracks, and for each pair of studies the parts of the links and the confluent groups."""

    tracks: Sequence[TrackInput]
    parts: Mapping[Pair, Parts]
    confluent: Mapping[Pair, Confluent]


def _follow(case: CaseStore, studies: Sequence[StudyRecord], lesions: Lesions, proposals: Proposals) -> _Followed:
    decisions = _decisions(case, studies, lesions)
    volumes = {study.study_id: volumes_ml(case, study.study_id, lesions[study.study_id]) for study in studies}
    tracks, matchings = _build(studies, lesions, proposals, decisions, volumes)
    parts = {
        pair: {(link.baseline, link.followup): (link.kind, link.primary) for link in matching.links}
        for pair, matching in matchings.items()
    }
    return _Followed(_numbered(case, tracks), parts, {pair: each.confluent for pair, each in matchings.items()})


def _save(case: CaseStore, followed: _Followed) -> None:
    for (first, second), parts in followed.parts.items():
        case.set_link_parts(first, second, parts, followed.confluent[first, second])
    case.save_tracks(followed.tracks)


def _known_lesions(case: CaseStore, studies: Sequence[StudyRecord]) -> dict[int, list[int]]:
    """Lesions that count and that the last matching knew, or that a reader linked since."""
    ids = [study.study_id for study in studies]
    known = {(lesion.study_id, lesion.lesion) for each in ids for lesion in case.lesions(each) if lesion.track}
    for pair in combinations(ids, 2):
        record = case.matching(*pair)
        if record is not None:
            known |= {(pair[0], each) for each in (*record.not_imaged_baseline, *record.below_detection)}
            known |= {(pair[1], each) for each in (*record.not_imaged_followup, *record.below_detection_before)}
    for link in [*case.links(marks=False), *case.proposed_links()]:
        known |= {(link.baseline_id, link.baseline_lesion), (link.followup_id, link.followup_lesion)}
    return {each: [one.lesion for one in case.lesions(each) if (each, one.lesion) in known] for each in ids}


def _decisions(case: CaseStore, studies: Sequence[StudyRecord], lesions: Lesions) -> _Decisions:
    ids = {study.study_id for study in studies}
    known = {study: set(numbers) for study, numbers in lesions.items()}
    links: dict[Pair, list[LinkRecord]] = {}
    for link in case.links(marks=False):
        pair = (link.baseline_id, link.followup_id)
        ends = link.baseline_lesion in known.get(pair[0], ()) and link.followup_lesion in known.get(pair[1], ())
        if ends and link.status != "proposed":
            links.setdefault(pair, []).append(link)
    tracks = [
        each
        for each in case.track_decisions()
        if each.lesion in known.get(each.study_id, ()) and each.at_study_id in ids and mark_of(each)
    ]
    return _Decisions(links, tracks)


def _build(
    studies: Sequence[StudyRecord],
    lesions: Lesions,
    proposals: Proposals,
    decisions: _Decisions,
    volumes: Mapping[int, Mapping[int, float]],
) -> tuple[list[TrackInput], dict[Pair, Matching]]:
    """Tracks, and the matchings with all decisions in them.

    Which links a mark forbids depends on the tracks, and these on the links: a mark that a track is gone at a study
    cuts every link from its lesions to that study. So the tracks are made again until no further link is cut.
    """
    ids = [study.study_id for study in studies]
    index = {study_id: place for place, study_id in enumerate(ids)}
    spect = [place for place, study in enumerate(studies) if study.modality == "SPECT"]
    said = [
        TrackDecision(index[each.study_id], each.lesion, index[each.at_study_id], mark_of(each))
        for each in decisions.tracks
        if each.at_study_id is not None
    ]

    def decide(tracks: Sequence[TrackInput]) -> dict[Pair, Matching]:
        marks = TrackMarks(decisions.tracks, tracks)
        return {pair: _decided(pair, proposals, decisions, marks, volumes) for pair in proposals}

    matchings = decide([])
    while True:
        by_index = {(index[first], index[second]): each for (first, second), each in matchings.items()}
        with naming("Tracks"):
            built = build_tracks([sorted(lesions[each]) for each in ids], by_index, said, spect)
        tracks = [_with_ids(track, ids) for track in built]
        after = matchings if all(mark_of(each) == "new" for each in decisions.tracks) else decide(tracks)
        if sum(len(each.links) for each in after.values()) >= sum(len(each.links) for each in matchings.values()):
            return tracks, matchings
        matchings = after


def _decided(
    pair: Pair,
    proposals: Proposals,
    decisions: _Decisions,
    marks: TrackMarks,
    volumes: Mapping[int, Mapping[int, float]],
) -> Matching:
    matching = proposals[pair].matching
    by_status: dict[str, set[Pair]] = {"accepted": set(), "edited": set(), "rejected": set()}
    for link in decisions.links.get(pair, ()):
        by_status[link.status].add((link.baseline_lesion, link.followup_lesion))
    wanted = {(link.baseline, link.followup) for link in matching.links} | by_status["accepted"] | by_status["edited"]
    cut = {ends for ends in wanted if marks.against(pair[0], ends[0], pair[1], ends[1])}
    with naming("Decisions on links"):
        return decided(
            matching,
            by_status["accepted"] - cut,
            by_status["rejected"] | cut,
            by_status["edited"] - cut,
            volumes[pair[0]],
            volumes[pair[1]],
        )


def _with_ids(track: Track, ids: Sequence[int]) -> TrackInput:
    return TrackInput(
        number=track.number,
        lesions={ids[place]: lesion for place, lesion in track.lesions.items()},
        status={ids[place]: status for place, status in track.status.items()},
        parents=list(track.parents),
        parents_since={parent: ids[place] for parent, place in track.parents_since.items()},
    )


def _numbered(case: CaseStore, tracks: Sequence[TrackInput]) -> list[TrackInput]:
    """The same tracks with the numbers that readers know: one that begins with the same lesion keeps its number."""
    order = [study.study_id for study in case.studies()]
    before = {_first_lesion(track.lesions, order): track.number for track in case.tracks()}
    kept = {track.number: before.get(_first_lesion(track.lesions, order)) for track in tracks}
    free = max(before.values(), default=0)
    new: dict[int, int] = {}
    for number, known in kept.items():
        if known is None:
            free += 1
        new[number] = free if known is None else known
    numbered = [
        replace(
            track,
            number=new[track.number],
            parents=sorted(new[parent] for parent in track.parents),
            parents_since={new[parent]: study for parent, study in track.parents_since.items()},
        )
        for track in tracks
    ]
    return sorted(numbered, key=lambda track: track.number)


def _first_lesion(lesions: Mapping[int, int], order: Sequence[int]) -> Pair:
    study = min(lesions, key=order.index)
    return study, lesions[study]


def _save_links(case: CaseStore, pair: Pair, proposal: Proposal, parts: Parts, confluent: Confluent) -> None:
    proposed = proposal.matching
    links = []
    for link in proposed.links:
        kind, primary = parts.get((link.baseline, link.followup), (link.kind, False))
        links.append(
            LinkInput(
                link.baseline, link.followup, kind, link.gap_mm, link.overlap, link.confidence, link.reason, primary
            )
        )
    case.save_links(
        *pair,
        links,
        proposed.not_imaged_baseline,
        proposed.not_imaged_followup,
        proposal.provenance,
        below_detection=proposed.below_detection,
        below_detection_before=proposed.below_detection_before,
        confluent=confluent,
    )
