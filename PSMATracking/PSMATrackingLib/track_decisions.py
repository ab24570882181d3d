"""A physician's decisions on tracks: what they cut apart, and which status they set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .links import without
from .matching_result import Matching

TRACK_DECISIONS = ("confirmed", "new", "gone", "not imaged")

Matchings = Mapping[tuple[int, int], Matching]


@dataclass(frozen=True)
class TrackDecision:
    """What a reader says about the track of a lesion at one study.

    ``study`` (index) and ``lesion`` name the track by one of its lesions; the decision is about ``at_study``.

    "confirmed"
        As proposed: nothing changes.
    "new"
        The track's lesion at ``at_study`` is none of the earlier ones: its links to earlier studies are cut.
    "gone"
        The lesion is no longer there at ``at_study``, although the place was imaged. Said of a study before the track's
        first lesion: it was not there yet.
    "not imaged"
        ``at_study`` did not image the place, whatever its field of view says.

    Where ``at_study`` has a lesion that was linked to the track, "gone" and "not imaged" cut that link, so that this
    lesion has a track of its own. A decision that fits no longer has no effect: "new" at a study in which the track
    has no lesion, "gone" or "not imaged" at the study of the lesion by which the track is named.
    """

    study: int
    lesion: int
    at_study: int
    status: str


def check_decisions(decisions: Sequence[TrackDecision], lesions: Sequence[Sequence[int]]) -> None:
    """Raise ValueError for a status that is none, and for a study or lesion that is not there."""
    for decision in decisions:
        if decision.status not in TRACK_DECISIONS:
            raise ValueError(f"'{decision.status}' is no decision on a track; use one of {', '.join(TRACK_DECISIONS)}")
        if not (0 <= decision.at_study < len(lesions) and 0 <= decision.study < len(lesions)):
            raise ValueError(
                f"a decision on a track names studies {decision.study} and {decision.at_study}, but there are "
                f"{len(lesions)}; studies count from 0"
            )
        if decision.lesion not in lesions[decision.study]:
            raise ValueError(
                f"a decision on a track names lesion {decision.lesion}, which is not in study {decision.study}; "
                "anchor the decision to a lesion that is there"
            )


def cut_links(
    matchings: Matchings, decisions: Sequence[TrackDecision], held: Mapping[tuple[int, int], Mapping[int, int]]
) -> dict[tuple[int, int], Matching]:
    """The matchings less the links that decisions cut.

    Parameters
    ----------
    matchings : mapping of (int, int) to Matching
    decisions : sequence of TrackDecision
    held : mapping of (study, lesion) to mapping of int to int
        The lesions (by study) of the track that each lesion is in, without decisions.
    """
    cuts: dict[tuple[int, int], set[tuple[int, int]]] = {pair: set() for pair in matchings}
    for decision in decisions:
        track = held[decision.study, decision.lesion]
        for (first, second), matching in matchings.items():
            if second == decision.at_study:
                cuts[first, second] |= {
                    (link.baseline, link.followup)
                    for link in matching.links
                    if _is_cut(decision, track, first, link.baseline, link.followup)
                }
    return {
        pair: replace(matching, links=without(matching.links, cuts[pair])) if cuts[pair] else matching
        for pair, matching in matchings.items()
    }


def _is_cut(decision: TrackDecision, track: Mapping[int, int], first: int, baseline: int, followup: int) -> bool:
    """Whether a decision cuts a link from ``baseline`` of study ``first`` to ``followup`` of the study decided on."""
    if decision.status == "new":
        return track.get(decision.at_study) == followup
    if decision.status in ("gone", "not imaged") and decision.study < decision.at_study:
        return track.get(first) == baseline
    return False


def decided_status(
    lesions: Mapping[int, int], proposed: Mapping[int, str], decisions: Sequence[TrackDecision]
) -> dict[int, str]:
    """Status of a track by study, with the decisions on it put over the proposed ones.

    Parameters
    ----------
    lesions : mapping of int to int
        The track's lesion by study.
    proposed : mapping of int to str
        Its status by study.
    decisions : sequence of TrackDecision
        Those on this track; a later one counts more.
    """
    status, start = dict(proposed), min(lesions)
    for decision in decisions:
        at = decision.at_study
        if decision.status == "new" and at == start:
            status = {study: word for study, word in status.items() if study >= start}
            status[at] = "new"
        elif decision.status == "not imaged" and at not in lesions:
            status[at] = "not imaged"
        elif decision.status == "gone" and at not in lesions:
            if at > start:
                status[at] = "gone"
            else:
                status.pop(at, None)
    if status[start] in ("new", "baseline") and not any(one.status == "new" for one in decisions):
        status[start] = "baseline" if all(study in status for study in range(start)) else "new"
    for study in sorted(lesions):
        before = [status.get(other) for other in range(start, study)]
        if status[study] in ("persistent", "reappeared"):
            seen = max(other for other in lesions if other < study)
            status[study] = "reappeared" if "gone" in before[seen - start :] else "persistent"
    return dict(sorted(status.items()))
