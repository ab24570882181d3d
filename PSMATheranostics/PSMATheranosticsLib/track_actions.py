"""What a reader does about links and tracks: each is one step that can be undone, with the tracks made again in it."""

from __future__ import annotations

from .case_store import CaseStore
from .errors import InputError
from .live_tracks import retrack
from .records import LinkInput, LinkRecord, StudyRecord, TrackRecord
from .track_marks import TrackMarks, mark_of

Lesion = tuple[int, int]  # study id, lesion number
DRAWN = "drawn by a reader"
_WORDS = {"confirmed": "as proposed", "new": "as new", "gone": "as resolved", "not imaged": "as not imaged"}


def link_lesions(case: CaseStore, first: Lesion, second: Lesion, reason: str = "") -> None:
    """Say that two lesions (study id, lesion) of different studies are the same one, or that one came from the other.

    Where one has other links already, that is a split or a merge. Marks that speak against the link are taken back.

    Raises InputError for lesions of one study or that do not count, and where a link of a study in between says
    otherwise, so that this one would change nothing.
    """
    earlier, later = _ordered(case, first, second)
    baseline, followup = case.study(earlier[0]), case.study(later[0])
    name = f"Link lesion {earlier[1]} of {baseline.label} with lesion {later[1]} of {followup.label}"
    with case.step(name):
        _take_back_marks(case, earlier, later)
        known = _link(case, earlier, later)
        if known is None or known.status == "rejected":
            link = LinkInput(earlier[1], later[1], "one-to-one", 0.0, 0.0, 1.0, DRAWN, False)
            if known is not None:
                link = LinkInput(
                    earlier[1], later[1], known.kind, known.gap_mm, known.overlap, known.confidence, known.reason, False
                )
            case.add_link(earlier[0], later[0], link, reason)
        elif known.status == "proposed":
            case.decide_link(earlier[0], later[0], earlier[1], later[1], "accepted", reason)
        retrack(case)
        _require_related(case, earlier, later)


def unlink_lesions(case: CaseStore, first: Lesion, second: Lesion, reason: str = "") -> None:
    """Say that a lesion has nothing to do with the track of an earlier one: its links to that track are rejected.

    So are those of the lesions that it goes on as. A later lesion without any other link is new then. Raises InputError
    for lesions of one study, and where no link leads from the track of the earlier lesion to the later one.
    """
    earlier, later = _ordered(case, first, second)
    baseline, followup = case.study(earlier[0]), case.study(later[0])
    order = [study.study_id for study in case.studies()]
    turn = order.index(later[0])
    before = {earlier, *(place for place in _track_of(case, earlier) if order.index(place[0]) < turn)}
    after = {later, *(place for place in _track_of(case, later) if order.index(place[0]) > turn)}
    links = [
        link
        for link in case.links()
        if link.status != "rejected"
        and (link.baseline_id, link.baseline_lesion) in before
        and (link.followup_id, link.followup_lesion) in after
    ]
    if not any((link.followup_id, link.followup_lesion) == later for link in links):
        raise InputError(
            f"No link leads from the track of lesion {earlier[1]} of {baseline.label} to lesion {later[1]} of "
            f"{followup.label}. Choose two lesions that are linked."
        )
    with case.step(f"Unlink lesion {later[1]} of {followup.label} from lesion {earlier[1]} of {baseline.label}"):
        for link in links:
            case.decide_link(
                link.baseline_id, link.followup_id, link.baseline_lesion, link.followup_lesion, "rejected", reason
            )
        retrack(case)


def accept_track(case: CaseStore, track: int | str, at_study: int) -> None:
    """Accept what a track says at a study: its status there, and the links that lead to its lesion.

    ``track``: its number or its label. Raises InputError where it says nothing about that study.
    """
    found, study = _track(case, track), case.study(at_study)
    if not found.status.get(at_study):
        raise InputError(f"{found.label} says nothing about {study.label}: there is nothing to accept.")
    with case.step(f"Accept {found.label} at {study.label}"):
        for link in _links_that_count(case, found, study):
            case.decide_link(link.baseline_id, at_study, link.baseline_lesion, link.followup_lesion, "accepted")
        _clear(case, found, at_study)
        case.decide_track(*_anchor(case, found, study, "confirmed"), at_study, "confirmed")
        retrack(case)


def mark_track(case: CaseStore, track: int | str, at_study: int, status: str, comment: str = "") -> None:
    """Say what a track is at a study: "new", "gone" (resolved), "not imaged", or "" to take that back.

    "confirmed" accepts the status without deciding on links; see ``accept_track``. ``track``: its number or its label.

    Raises InputError for another status, and for one that cannot be said: only a lesion can be new, and there must be
    an earlier study; a track whose only lesion is in that study cannot be gone there.
    """
    found, study = _track(case, track), case.study(at_study)
    name = f"Mark {found.label} {_WORDS.get(status, status)} at {study.label}"
    if not status:
        name = f"Take back what was said of {found.label} at {study.label}"
    with case.step(name):
        if status:
            anchor = _anchor(case, found, study, status)
            _clear(case, found, at_study)
            case.decide_track(*anchor, at_study, status, comment)
        else:
            _clear(case, found, at_study)
        retrack(case)


def not_a_lesion(case: CaseStore, study_id: int, lesion: int, reason: str) -> None:
    """Reject a lesion as no lesion; it leaves its track. Decisions on its links and its track are kept."""
    study = case.study(study_id)
    with case.step(f"Reject lesion {lesion} of {study.label}: not a lesion"):
        case.decide_lesion(study_id, lesion, "rejected", reason)
        retrack(case)


def _ordered(case: CaseStore, first: Lesion, second: Lesion) -> tuple[Lesion, Lesion]:
    order = [study.study_id for study in case.studies()]
    for study_id, lesion in (first, second):
        label = case.study(study_id).label
        if lesion not in {each.lesion for each in case.lesions(study_id)}:
            raise InputError(f"{label} has no lesion {lesion} that counts. Choose another lesion.")
    if first[0] == second[0]:
        label = case.study(first[0]).label
        raise InputError(f"Lesions {first[1]} and {second[1]} are both of {label}. Choose lesions of two studies.")
    return (first, second) if order.index(first[0]) < order.index(second[0]) else (second, first)


def _link(case: CaseStore, earlier: Lesion, later: Lesion) -> LinkRecord | None:
    ends = (earlier[1], later[1])
    links = case.links(earlier[0], later[0], marks=False)
    return next((link for link in links if (link.baseline_lesion, link.followup_lesion) == ends), None)


def _take_back_marks(case: CaseStore, earlier: Lesion, later: Lesion) -> None:
    tracks = case.tracks()
    for decision in case.track_decisions():
        marks = TrackMarks([decision], tracks)
        if mark_of(decision) and decision.at_study_id is not None and marks.against(*earlier, *later):
            case.decide_track(decision.study_id, decision.lesion, decision.at_study_id, "")


def _require_related(case: CaseStore, earlier: Lesion, later: Lesion) -> None:
    """The two lesions must be on one track now, or the later one's track must come from the earlier one's."""
    tracks = {track.number: track for track in case.tracks()}
    first, second = (
        next((track for track in tracks.values() if track.lesions.get(study_id) == lesion), None)
        for study_id, lesion in (earlier, later)
    )
    as_one = first is not None and first.status.get(later[0]) == "merged"  # on a SPECT without being a parent
    if first is None or second is None or (first != second and first.number not in second.parents and not as_one):
        others = [
            link
            for link in case.links(None, later[0])
            if link.followup_lesion == later[1] and link.status != "rejected" and link.baseline_id != earlier[0]
        ]
        between = case.study(others[-1].baseline_id).label if others else "a study in between"
        raise InputError(
            f"Lesion {later[1]} of {case.study(later[0]).label} is linked to a lesion of {between}, which comes before "
            f"a link to {case.study(earlier[0]).label}. Unlink that one first, or link with the lesion of {between}."
        )


def _track(case: CaseStore, track: int | str) -> TrackRecord:
    found = next((each for each in case.tracks() if track in (each.number, each.label)), None)
    if found is None:
        raise InputError(f"There is no track {track}. Follow the lesions, and choose one of the tracks.")
    return found


def _track_of(case: CaseStore, lesion: Lesion) -> list[Lesion]:
    """All lesions of the track of a lesion; none where it is not followed."""
    track = next((each for each in case.tracks() if each.lesions.get(lesion[0]) == lesion[1]), None)
    return [] if track is None else list(track.lesions.items())


def _links_that_count(case: CaseStore, track: TrackRecord, study: StudyRecord) -> list[LinkRecord]:
    """Proposed links that made the status of a track at a study.

    Those into its lesion, from the latest study with any and from all lesions of the track; or, where it is part of
    another lesion, the one from its last lesion before.
    """
    order = [each.study_id for each in case.studies()]
    links = [link for link in case.links(None, study.study_id) if link.status != "rejected"]
    lesion = track.lesions.get(study.study_id)
    if lesion is not None:
        links = [link for link in links if link.followup_lesion == lesion]
        latest = max((order.index(link.baseline_id) for link in links), default=-1)
        counts = {link for link in links if order.index(link.baseline_id) == latest}
        counts |= {link for link in links if track.lesions.get(link.baseline_id) == link.baseline_lesion}
    else:
        turn = order.index(study.study_id)
        last = max((each for each in track.lesions if order.index(each) < turn), key=order.index, default=-1)
        counts = {link for link in links if (link.baseline_id, link.baseline_lesion) == (last, track.lesions.get(last))}
    return [link for link in links if link in counts and link.status == "proposed"]


def _clear(case: CaseStore, track: TrackRecord, at_study: int) -> None:
    """Take back all that was decided about a track at a study, by whichever of its lesions."""
    for decision in case.track_decisions():
        if decision.at_study_id == at_study and track.lesions.get(decision.study_id) == decision.lesion:
            case.decide_track(decision.study_id, decision.lesion, at_study, "")


def _anchor(case: CaseStore, track: TrackRecord, study: StudyRecord, status: str) -> Lesion:
    """The lesion of a track to which a decision on it at a study is tied."""
    at = study.study_id
    order = [each.study_id for each in case.studies()]
    if status == "new":
        if at not in track.lesions:
            raise InputError(f"{track.label} has no lesion at {study.label} that could be new.")
        if not any(case.segmentation(each) is not None for each in order[: order.index(at)]):
            raise InputError(f"Nothing at {study.label} can be new: no study with lesions comes before it.")
        return at, track.lesions[at]
    if status == "confirmed" and at in track.lesions:
        return at, track.lesions[at]
    elsewhere = [each for each in track.lesions if each != at]
    if not elsewhere:
        raise InputError(
            f"{track.label} has no lesion but that of {study.label}: it cannot be {status} there. Say that it is no "
            "lesion instead."
        )
    before = [each for each in elsewhere if order.index(each) < order.index(at)]
    chosen = max(before, key=order.index) if before else min(elsewhere, key=order.index)
    return chosen, track.lesions[chosen]
