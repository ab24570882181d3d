"""What a perfect program would find in a synthetic patient: status of every planted lesion at every visit.

Worked out from the planted links alone, without the code that is to be tested with it.
"""

from __future__ import annotations

from collections import defaultdict

from PSMASegmentLib.phantom import PhantomPatient

Edges = dict[tuple[int, int], set[tuple[int, int]]]


def planted_edges(patient: PhantomPatient) -> Edges:
    """Planted links by pair of visits: sets of (lesion of the earlier visit, lesion of the later one)."""
    edges: Edges = {}
    for link in patient.links:
        pair = (link.baseline_visit, link.followup_visit)
        edges.setdefault(pair, set()).add((link.baseline_lesion, link.followup_lesion))
    return edges


def present_status(patient: PhantomPatient, visit: int) -> dict[int, str]:
    """Status of each lesion of a visit against the visits before it.

    The largest part of a split and the result of a merge go on as "persistent", the other parts are "split"; a lesion
    that is linked only to a visit before the previous one has "reappeared".
    """
    edges = planted_edges(patient)
    volumes = {lesion.label: lesion.volume_suv3_ml for lesion in patient.visits[visit].truth}
    if visit == 0:
        return dict.fromkeys(volumes, "baseline")
    status = {}
    earlier = sorted((pair[0] for pair in edges if pair[1] == visit), reverse=True)
    for lesion in volumes:
        before = next((k for k in earlier if any(b == lesion for _, b in edges[k, visit])), None)
        if before is None:
            status[lesion] = "new"
            continue
        pairs = edges[before, visit]
        sources = {a for a, b in pairs if b == lesion}
        siblings = {b for a, b in pairs if a in sources}
        if len(sources) > 1 and len(siblings) > 1:
            status[lesion] = "complex"
        elif len(siblings) > 1 and lesion != max(siblings, key=lambda label: volumes[label]):
            status[lesion] = "split"
        else:
            status[lesion] = "persistent" if before == visit - 1 else "reappeared"
    return status


def absent_status(patient: PhantomPatient, visit: int) -> dict[int, str]:
    """Lesions of the visit before that have none of their own at ``visit``: "gone", or "merged" into another."""
    if visit == 0:
        return {}
    pairs = planted_edges(patient).get((visit - 1, visit), set())
    followups = defaultdict(set)
    sources = defaultdict(set)
    for a, b in pairs:
        followups[a].add(b)
        sources[b].add(a)
    volumes = {lesion.label: lesion.volume_suv3_ml for lesion in patient.visits[visit - 1].truth}
    status = {}
    for lesion in volumes:
        if not followups[lesion]:
            status[lesion] = "gone"
        elif len(followups[lesion]) == 1:
            (target,) = followups[lesion]
            rivals = sources[target]
            simple = all(len(followups[rival]) == 1 for rival in rivals)
            if simple and lesion != max(rivals, key=lambda label: volumes[label]):
                status[lesion] = "merged"
    return status


def new_since_baseline(patient: PhantomPatient, visit: int) -> list[int]:
    """Lesions of a visit that share no focus with any lesion of the first visit nor descend from one that does."""
    edges = planted_edges(patient)
    known = {lesion.label for lesion in patient.visits[0].truth}
    for k in range(1, visit + 1):
        known = {b for a, b in edges.get((k - 1, k), set()) if a in known} | {b for _, b in edges.get((0, k), set())}
    return sorted(lesion.label for lesion in patient.visits[visit].truth if lesion.label not in known)
