"""The course of the demo patient: which lesions he has at each visit, and why."""

from __future__ import annotations

from dataclasses import replace

from .anatomy import Figure
from .canvas import Point
from .lesions import Lesion, changed, merge, radii_for, split
from .skeleton import bone_site, rib


def _lesion(
    figure: Figure,
    site: str,
    volume_ml: float,
    suv_max: float,
    *,
    kind: str = "bone",
    at: Point | None = None,
    along: Point = (0.0, 0.0, 1.0),
    elongation: float = 1.0,
) -> Lesion:
    center = figure.to_patient(at or bone_site(site))
    foci = (f"{site} a", f"{site} b")
    bumps = sum(map(ord, site))
    return Lesion(foci, site, kind, center, radii_for(volume_ml, elongation), along, suv_max, bumps)


def demo_course(figure: Figure) -> list[list[Lesion]]:
    """Lesions of the three visits of the demo patient.

    Baseline: 17 lesions. First follow-up: three are gone, most shrink, one on the iliac crest falls apart into two, two
    on a rib grow together, one in T4 is larger, none is new; the volume falls by about half. Second follow-up: lesions
    grow beyond their size at baseline, one in the femur falls apart, two in the sacrum grow together, the one in the
    pubic bone that was gone is back, and four are new; the volume is about 40 % above that of the baseline.
    """
    baseline = _baseline(figure)
    first = _first_followup(baseline)
    return [list(baseline.values()), list(first.values()), _second_followup(baseline, first, figure)]


def _baseline(figure: Figure) -> dict[str, Lesion]:
    spots = rib(5, -1.0)
    front, back = spots[9], spots[14]
    rows = [
        _lesion(figure, "T4", 3.0, 17.0),
        _lesion(figure, "T7", 5.0, 24.0, elongation=1.2, along=(1.0, 0.0, 0.0)),
        _lesion(figure, "L4", 9.0, 31.0, elongation=1.2, along=(1.0, 0.0, 0.0)),
        _lesion(figure, "rib 5 right, lateral", 2.2, 15.0, at=front),
        _lesion(figure, "rib 5 right, anterior", 2.4, 18.0, at=back),
        _lesion(figure, "rib 7 left", 2.0, 12.0, at=rib(7, 1.0)[15]),
        _lesion(figure, "sacrum right", 6.0, 21.0, at=(-22.0, 46.0, 84.0)),
        _lesion(figure, "sacrum left", 4.5, 19.0, at=(22.0, 46.0, 84.0)),
        _lesion(figure, "iliac crest right", 14.0, 28.0, elongation=3.0, along=(-0.38, -0.92, 0.02)),
        _lesion(figure, "acetabulum left", 11.0, 34.0),
        _lesion(figure, "ischium right", 4.0, 14.0),
        _lesion(figure, "pubis right", 1.8, 11.0, at=(-16.0, -74.0, -14.0)),
        _lesion(figure, "femur right", 14.0, 26.0, elongation=3.2, along=(0.08, 0.0, 1.0)),
        _lesion(figure, "humerus left", 5.0, 20.0),
        _lesion(figure, "sternum", 4.0, 19.0),
        _lesion(figure, "common iliac node left", 3.0, 22.0, kind="node", at=(40.0, -6.0, 116.0)),
        _lesion(figure, "supraclavicular node left", 2.0, 13.0, kind="node", at=(44.0, -18.0, 572.0)),
    ]
    return {lesion.site: lesion for lesion in rows}


def _first_followup(baseline: dict[str, Lesion]) -> dict[str, Lesion]:
    gone = ("rib 7 left", "pubis right", "supraclavicular node left")
    pair = ("rib 5 right, lateral", "rib 5 right, anterior")
    stable = ("ischium right", "humerus left", "femur right")
    visit: dict[str, Lesion] = {}
    for site, lesion in baseline.items():
        if site in gone or site in pair:
            continue
        if site == "iliac crest right":
            back, front = split(changed(lesion, suv=0.6), (1.7, 2.6), 1.44 * lesion.radii[0])
            visit["front"] = replace(front, site=f"{site}, front")
            visit["back"] = replace(back, site=f"{site}, back")
        elif site == "T4":
            visit[site] = changed(lesion, 1.8, 1.15)
        elif site in stable:
            visit[site] = changed(lesion, 0.8, 0.9)
        elif site in ("sacrum right", "sacrum left"):
            visit[site] = changed(lesion, 0.45, 0.65)
        else:
            visit[site] = changed(lesion, 0.5 if lesion.volume_ml < 4.5 else 0.3, 0.5)
    confluent = merge(baseline[pair[0]], baseline[pair[1]], 0.9)
    visit["rib 5 right"] = replace(confluent, site="rib 5 right", suv_max=14.0)
    return visit


def _second_followup(baseline: dict[str, Lesion], first: dict[str, Lesion], figure: Figure) -> list[Lesion]:
    visit: list[Lesion] = []
    for site, lesion in first.items():
        if site == "sternum" or site.startswith("sacrum"):
            continue
        if site == "femur right":
            lower, upper = split(changed(lesion, suv=0.9), (5.2, 3.6), 48.0)
            visit += [replace(lower, site="femur right, lower"), replace(upper, site="femur right, upper")]
        elif lesion.site.startswith("iliac crest"):
            visit.append(changed(lesion, 1.6, 1.3))
        elif site == "common iliac node left":
            visit.append(changed(lesion, 0.98, 1.0))
        else:
            visit.append(changed(baseline.get(site, lesion), 1.7, 1.25))
    confluent = merge(baseline["sacrum right"], baseline["sacrum left"], 1.7)
    visit.append(replace(confluent, site="sacrum", suv_max=27.0))
    visit.append(changed(baseline["pubis right"], 1.3, 1.2))
    visit.append(_lesion(figure, "T10", 6.0, 19.0, at=(-4.0, 44.0, 337.0)))
    visit.append(_lesion(figure, "scapula right", 4.0, 17.0))
    visit.append(_lesion(figure, "femur left", 7.0, 23.0, elongation=1.5))
    visit.append(_lesion(figure, "lung right", 2.5, 12.0, kind="lung", at=(-88.0, -8.0, 462.0)))
    return visit
