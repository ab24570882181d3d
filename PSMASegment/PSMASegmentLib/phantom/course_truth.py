"""What is to be found of a course: which lesions belong together and what becomes of each, from planted foci alone.

Worked out without the code that is tested with it. The words are those of lesion tracking: "baseline", "new",
"persistent", "reappeared", "split", "merged", "gone", "not imaged", "below detection", "complex".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

Edges = Mapping[tuple[int, int], Collection[tuple[int, int]]]
"""By pair of visits (earlier, later): pairs of lesions (of the earlier, of the later)."""
Ask = Callable[[int, int, int], bool]
"""A question about lesion ``label`` of visit ``home`` at another visit: ``ask(home, label, visit)``."""


@dataclass
class TrueTrack:
    """One lesion through the visits: its label at each visit that has it, and its status at each visit.

    A status is missing before the track begins, after it went into another one, and where what went on as what is a
    guess: at visits where a track of a "complex" group has no lesion.
    """

    number: int
    lesions: dict[int, int] = field(default_factory=dict)
    status: dict[int, str] = field(default_factory=dict)
    ended: bool = False


def foci_edges(foci: Sequence[Mapping[int, Collection[str]]]) -> dict[tuple[int, int], set[tuple[int, int]]]:
    """Edges of all pairs of visits from the foci of each label at each visit."""
    edges = {}
    for i, before in enumerate(foci):
        for j in range(i + 1, len(foci)):
            edges[i, j] = {(a, b) for a, own in before.items() for b, other in foci[j].items() if set(own) & set(other)}
    return edges


def true_tracks(
    volumes: Sequence[Mapping[int, float]], edges: Edges, imaged: Ask, hidden: Ask, spect: Collection[int] = ()
) -> list[TrueTrack]:
    """Tracks of planted lesions.

    ``volumes`` holds mL by label for each visit: a split goes on in its largest part, a merged lesion carries on the
    track of its largest source. ``imaged`` says whether the other visit shows the place of a lesion, ``hidden`` whether
    the lesion is there, but too small or too faint to be seen. ``spect`` are the visits that are SPECT, where
    neighbors run together: what merges there goes on by itself on the next PET.
    """
    tracks: list[TrueTrack] = []
    of: dict[tuple[int, int], TrueTrack] = {}
    for visit, own in enumerate(volumes):
        earlier = {label: _origin(edges, visit, label, spect) for label in own}
        for home in range(visit - 1, -1, -1):
            labels = {label for label, found in earlier.items() if found == home}
            pairs = {(a, b) for a, b in edges.get((home, visit), ()) if b in labels}
            for group in _groups(pairs):
                _carry_on(tracks, of, group, (home, visit), (volumes[home], own), visit in spect)
        for label in sorted(own):
            if (visit, label) not in of:
                unseen = [k for k in range(visit) if not imaged(visit, label, k)]
                status = "baseline" if len(unseen) == visit else "new"
                track = _start(tracks, of, visit, label, status)
                track.status = {**dict.fromkeys(unseen, "not imaged"), **track.status}
        for track in tracks:
            if not track.ended and visit not in track.lesions and visit not in track.status:
                home = max(track.lesions)
                there = imaged(home, track.lesions[home], visit)
                lost = "below detection" if hidden(home, track.lesions[home], visit) else "gone"
                track.status[visit] = lost if there else "not imaged"
    return tracks


def _origin(edges: Edges, visit: int, label: int, spect: Collection[int]) -> int:
    """The latest earlier visit with an edge to a lesion, -1 for none; to one of a PET a PET where there is any."""
    linked = {i for (i, j), pairs in edges.items() if j == visit and any(b == label for _, b in pairs)}
    pets = linked - set(spect)
    return max(pets if pets and visit not in spect else linked, default=-1)


def _groups(pairs: Collection[tuple[int, int]]) -> list[set[tuple[int, int]]]:
    """Edges that hang together by their lesions."""
    groups: list[set[tuple[int, int]]] = []
    for pair in sorted(pairs):
        touching = [group for group in groups if any(pair[0] == a or pair[1] == b for a, b in group)]
        groups = [group for group in groups if group not in touching]
        groups.append(set().union({pair}, *touching))
    return groups


def _carry_on(
    tracks: list[TrueTrack],
    of: dict[tuple[int, int], TrueTrack],
    group: Collection[tuple[int, int]],
    visits: tuple[int, int],
    volumes: tuple[Mapping[int, float], Mapping[int, float]],
    on_spect: bool,
) -> None:
    """Continue, start and end the tracks of one group of lesions."""
    home, visit = visits
    sources, targets = sorted({a for a, _ in group}), sorted({b for _, b in group})
    if len(sources) > 1 and len(targets) > 1:
        for source in sources:
            of[home, source].ended = True
        for target in targets:
            _start(tracks, of, visit, target, "complex")
        return
    source = max(sources, key=lambda label: (volumes[0][label], -label))
    target = max(targets, key=lambda label: (volumes[1][label], -label))
    main = of[home, source]
    if main.ended or visit in main.lesions:  # another part of it goes on already
        for other in targets:
            _start(tracks, of, visit, other, "split")
        return
    came_back = any(main.status.get(k) == "gone" for k in range(home + 1, visit))
    main.lesions[visit], of[visit, target] = target, main
    main.status[visit] = "reappeared" if came_back else "persistent"
    for other in sources:
        if other != source:
            of[home, other].status[visit] = "merged"
            of[home, other].ended = not on_spect
    for other in targets:
        if other != target:
            _start(tracks, of, visit, other, "split")


def _start(
    tracks: list[TrueTrack], of: dict[tuple[int, int], TrueTrack], visit: int, label: int, status: str
) -> TrueTrack:
    track = TrueTrack(len(tracks) + 1, {visit: label}, {visit: status})
    tracks.append(track)
    of[visit, label] = track
    return track
