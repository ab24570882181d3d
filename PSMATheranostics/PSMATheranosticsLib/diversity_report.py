"""What ``psma diversity`` and ``psma domain-shift`` write beside their JSON: tables, images and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import SimpleITK as sitk

from .errors import CaseError
from .evaluation_summary import p_text
from .evaluation_tables import csv_bytes
from .html_template import PageTable
from .set_plots import occurrence_plot, relation_plot, scans_plot
from .set_report import SetReport, write_set_report
from .whole_file import write_whole

if TYPE_CHECKING:
    from PSMASegmentLib.evaluation.diversity import Relation
    from PSMASegmentLib.evaluation.domain_shift import ScanMap, Separation
    from PSMASegmentLib.evaluation.occurrence_map import CaseSites

    from .diversity_cases import Gathered
    from .study_sets import SetStudy

Row = dict[str, Any]

_DIVERSITY_NOTES = (
    "The effective number of sites is exp(H - H1): H is the entropy of the blurred map of where lesions lie, H1 that "
    "of one point through the same blur. One place counts 1 however often it is met, n places far apart count n.",
    "It grows with the number of lesions. Sets of unequal size are compared by the figure for as many lesions each, "
    "drawn at random.",
    "Men are laid onto the reference man by their organs, which leaves some 15 mm open, and some 3 cm where there is "
    "no organ map and organs are found by their uptake (placed_by in cases.csv). Arms come to other places.",
)
_SHIFT_NOTES = (
    "AUC: linear discriminant on the principal components of the embeddings, cross-validated with the scans of a man "
    "together, mean over pairs of groups (0.5 mixed, 1 apart). Silhouette: 0 mixed, 1 apart. p is of permutations.",
    "Groups can lie apart because of the men in them as well as because of their scanners: tracer, stage of disease "
    "and size of the body look like a shift too. Whether a shift harms a network, an evaluation on each group tells.",
)


def write_diversity(
    to: Path,
    result: Mapping[str, Any],
    gathered: Gathered,
    groups: Mapping[str, Sequence[CaseSites]],
    relation: Relation | None,
) -> None:
    """Maps (NIfTI), ``cases.csv``, ``sets.csv``, figures and ``diversity.html``. Raises OSError, CaseError."""
    from PSMASegmentLib.evaluation.body_frame import reference_man
    from PSMASegmentLib.evaluation.occurrence_map import map_image, occurrence_map

    maps = {name: occurrence_map(cases) for name, cases in groups.items()}
    to.mkdir(parents=True, exist_ok=True)
    pooled = gathered.all()
    _write_image(map_image(occurrence_map(pooled)), to / "occurrence.nii.gz")
    man = reference_man()
    body = sitk.GetImageFromArray(man.hu.astype("int16"))
    body.SetSpacing((man.spacing_mm,) * 3)
    body.SetOrigin(man.origin_mm)
    _write_image(body, to / "reference-man.nii.gz")
    write_whole(to / "cases.csv", csv_bytes(_case_rows(gathered)))
    rows = _set_rows(result)
    write_whole(to / "sets.csv", csv_bytes(rows))
    figures = [occurrence_plot(maps)]
    if relation is not None:
        sites = [result["sets"][name]["sites"] for name in groups]
        figures.append(relation_plot(list(groups), sites, [result["dice"][name] for name in groups], relation))
    for name, image in zip(("occurrence", "relation"), figures, strict=False):
        write_whole(to / f"{name}.png", image.png)
    lesions, studies = sum(len(case.lesions) for case in pooled), len(pooled)
    whose = "Synthetic lesions" if result["synthetic"] else "Lesions"
    lead = f"{whose}: {lesions} of {studies} studies, counted by {result['weights']}."
    report = SetReport(
        "Where lesions lie: occurrence maps and diversity",
        lead,
        _DIVERSITY_NOTES,
        tuple(figures),
        (*_set_tables(result), *_relation_tables(relation, groups, result), *_left_out(gathered)),
    )
    write_set_report(report, to / "diversity.html")


def _write_image(image: sitk.Image, path: Path) -> None:
    try:
        sitk.WriteImage(image, str(path), useCompression=True)
    except RuntimeError as error:  # so SimpleITK tells of a full disk
        raise CaseError(f"{path} could not be written: {error}. Check the free space and permissions there.") from error


def _case_rows(gathered: Gathered) -> list[Row]:
    rows: list[Row] = [
        {
            "set": set_name,
            "case": case.name,
            "man": case.man,
            "placed_by": case.frame,
            "lesions": len(case.lesions),
            "beyond": case.beyond,
            "volume_ml": round(sum(lesion.volume_ml for lesion in case.lesions), 3),
            "left_out": "",
        }
        for set_name, cases in gathered.sets.items()
        for case in cases
    ]
    for set_name, name, reason in gathered.left_out:
        rows.append({**dict.fromkeys(rows[0]), "set": set_name, "case": name, "left_out": reason})
    return rows


def _set_rows(result: Mapping[str, Any]) -> list[Row]:
    """Each set with its figures, and the lesions at each height of the body."""
    return [{**row, **one["by_level"]} for row, one in zip(_figures(result), result["sets"].values(), strict=True)]


def _set_tables(result: Mapping[str, Any]) -> tuple[PageTable, PageTable]:
    """The same in two tables, which a page is wide enough for."""
    levels = [{"set": name, **one["by_level"]} for name, one in result["sets"].items()]
    return _table("Sets of studies", _figures(result)), _table("Lesions by height in the body", levels)


def _figures(result: Mapping[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for name, one in result["sets"].items():
        low, high = one["sites_interval"] or (None, None)
        rows.append(
            {
                "set": name,
                "studies": one["cases"],
                "with lesions": one["cases_with_lesions"],
                "men": one["men"],
                "lesions": one["lesions"],
                "volume mL": round(one["volume_ml"], 1),
                "effective sites": _rounded(one["sites"]),
                "95 % from": _rounded(low),
                "to": _rounded(high),
                f"of {result['rarefied_to_lesions'] or 0} lesions each": _rounded(one["sites_rarefied"]),
                "body covered %": round(100.0 * one["covered"], 1),
            }
        )
    return rows


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _table(caption: str, rows: Sequence[Mapping[str, Any]]) -> PageTable:
    texts = tuple(tuple("–" if value is None else str(value) for value in row.values()) for row in rows)
    return PageTable(caption, tuple(rows[0]), texts)


def _relation_tables(
    relation: Relation | None, groups: Mapping[str, Sequence[CaseSites]], result: Mapping[str, Any]
) -> list[PageTable]:
    if relation is None:
        return []
    given = "–" if relation.rho_given_size is None else f"{relation.rho_given_size:.2f}"
    caption = (
        f"Diversity and Dice of training subsets. With the number of studies held fixed, Spearman's rho is {given} "
        f"(as it is: {relation.rho:.2f})"
    )
    rows = [
        {
            "subset": name,
            "studies": len(groups[name]),
            "effective sites": _rounded(result["sets"][name]["sites"]),
            "Dice": result["dice"][name],
        }
        for name in groups
    ]
    return [_table(caption, rows)]


def _left_out(gathered: Gathered) -> list[PageTable]:
    if not gathered.left_out:
        return []
    rows = [{"study": f"{set_name}/{name}", "reason": reason} for set_name, name, reason in gathered.left_out]
    return [_table("Studies that could not be brought into one body", rows)]


def write_domain_shift(
    to: Path,
    result: Mapping[str, Any],
    studies: Sequence[SetStudy],
    groups: Sequence[str],
    vectors: Sequence[Sequence[float]],
    scans: ScanMap,
    apart: Separation,
) -> None:
    """``scans.csv``, ``embeddings.csv``, the map as PNG and ``domain-shift.html``. Raises OSError."""
    who = [{"set": one.set_name, "case": one.name, "man": one.man} for one in studies]
    places = [
        {**row, "group": group, "component_1": round(float(x), 5), "component_2": round(float(y), 5)}
        for row, group, (x, y) in zip(who, groups, scans.points, strict=True)
    ]
    embeddings = [
        {"set": row["set"], "case": row["case"], **{f"v{n}": value for n, value in enumerate(vector)}}
        for row, vector in zip(who, vectors, strict=True)
    ]
    write_whole(to / "scans.csv", csv_bytes(places))
    write_whole(to / "embeddings.csv", csv_bytes(embeddings))
    image = scans_plot(scans, groups, apart)
    write_whole(to / "domain-shift.png", image.png)
    pairs = [{"groups": " and ".join(pair), "AUC": f"{auc:.3f}"} for pair, auc in apart.pairs.items()]
    figures = [
        {"figure": "AUC, mean over pairs", "value": f"{apart.auc:.3f}", "p": p_text(apart.auc_p)},
        {"figure": "silhouette", "value": f"{apart.silhouette:.3f}", "p": p_text(apart.silhouette_p)},
    ]
    caption = (
        f"How far groups lie apart on {result['components']} principal components; {result['permutations']} "
        f"permutations of {apart.permuted}"
    )
    lead = f"{len(groups)} scans of {apart.men} men. Embedding: {result['embedding']}."
    report = SetReport(
        "Domain shift: scans as a network sees them",
        lead,
        _SHIFT_NOTES,
        (image,),
        (_table(caption, figures), _table("AUC of each two groups", pairs)),
    )
    write_set_report(report, to / "domain-shift.html")
