"""The commands ``psma diversity`` and ``psma domain-shift``: what sets of studies know, and how they differ."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__, exit_codes
from .commands_evaluate import add_organ_map_arguments
from .console import Console
from .errors import InputError
from .evaluation_summary import p_text
from .progress import part
from .whole_file import require_folder, write_whole

if TYPE_CHECKING:
    from PSMASegmentLib.evaluation.diversity import Diversity, Relation
    from PSMASegmentLib.evaluation.domain_shift import ScanMap, Separation
    from PSMASegmentLib.evaluation.embedding import Encoder
    from PSMASegmentLib.evaluation.occurrence_map import CaseSites

    from .diversity_cases import Gathered
    from .study_sets import SetStudy

WEIGHTS = ("lesions", "cases", "volume")  # of occurrence_map, which would load scipy before it is needed
LAYERS = ("coarsest", "first")  # of embedding, likewise
_SETS = "training sets of psma training-set, or folders with NAME_labels.nii.gz and NAME_organs.nii.gz (see the guide)"
_SCANS = (
    "training sets of psma training-set, or folders with NAME_suv.nii.gz; each is a group unless --groups says more"
)

Row = dict[str, Any]


def add_diversity_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of ``psma diversity``."""
    sub.add_argument("sets", type=Path, nargs="*", metavar="SET", help=_SETS)
    add_organ_map_arguments(
        sub,
        "in place of sets: lesions of synthetic studies on the organ maps KIND_PATIENT_DATE.nii.gz of a folder with "
        "labels.csv",
    )
    sub.add_argument(
        "--weights",
        choices=WEIGHTS,
        default=WEIGHTS[0],
        help="what counts alike: each lesion (default), each case with lesions, or each mL of lesion",
    )
    sub.add_argument(
        "--subsets", type=Path, metavar="FILE", help="training subsets: CSV with the columns subset and case"
    )
    sub.add_argument(
        "--dice",
        type=Path,
        metavar="FILE",
        help="Dice that networks trained on the subsets reach, or on the sets: CSV with the columns subset and dice",
    )
    sub.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="folder to write to")


def add_domain_shift_arguments(sub: argparse.ArgumentParser) -> None:
    """The options of ``psma domain-shift``."""
    sub.add_argument("sets", type=Path, nargs="+", metavar="SET", help=_SCANS)
    sub.add_argument(
        "--groups", type=Path, metavar="FILE", help="scanner or site of each case: CSV with the columns case and group"
    )
    network = sub.add_mutually_exclusive_group(required=True)
    network.add_argument(
        "--package", metavar="NAME", help="installed network for whole studies that looks at the scans"
    )
    network.add_argument(
        "--view-network",
        type=Path,
        metavar="FILE",
        help="network for photographs that looks at projections, such as DINOv2, as a TorchScript file of yours "
        "(n, 3, 224, 224) -> (n, d); nothing is downloaded",
    )
    sub.add_argument(
        "--layer",
        choices=LAYERS,
        default=LAYERS[0],
        help="with --package: the coarsest layer (default) knows what is where in a body, the first one sees blur and "
        "noise better",
    )
    sub.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU where there is one)")
    sub.add_argument("--seed", type=int, default=1, help="of folds and permutations (default: %(default)s)")
    sub.add_argument("--permutations", type=int, default=999, help="default: %(default)s")
    sub.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="folder to write to")


def diversity(options: argparse.Namespace, console: Console) -> int:
    """``psma diversity``: occurrence maps and the effective number of sites of sets of lesions."""
    from PSMASegmentLib.evaluation.diversity import diversity as diversity_of

    from .diversity_cases import read_dice, read_subsets
    from .diversity_report import write_diversity

    require_folder(options.to)
    gathered = _gathered(options, console)
    if not gathered.all():
        _, name, reason = gathered.left_out[0]
        raise InputError(f"No study could be brought into one body. {name}: {reason}")
    groups = gathered.sets if options.subsets is None else read_subsets(options.subsets, gathered)
    groups = {name: cases for name, cases in groups.items() if cases}
    dices = None if options.dice is None else read_dice(options.dice, groups)
    figures: dict[str, Diversity] = {}
    for number, (name, cases) in enumerate(groups.items()):
        console.progress(0.8 + 0.15 * number / len(groups), f"Diversity of {name}")
        figures[name] = diversity_of(cases, options.weights)
    relation = None if dices is None else _relation(figures, dices)
    result = {
        "software": __version__,
        "synthetic": options.organ_maps is not None,
        "weights": options.weights,
        **_description(groups, figures),
        "left_out": [{"set": one, "case": name, "reason": reason} for one, name, reason in gathered.left_out],
        "dice": dices,
        "relation": None if relation is None else asdict(relation),
    }
    write_diversity(options.to, result, gathered, groups, relation)
    _write_json(options.to / "diversity.json", result)
    console.done(result, _diversity_lines(result, options.to))
    return exit_codes.DONE


def _gathered(options: argparse.Namespace, console: Console) -> Gathered:
    from .diversity_cases import gather, gather_phantoms
    from .study_sets import read_sets

    if bool(options.sets) == (options.organ_maps is not None):
        raise InputError("Give either sets of studies, or --organ-maps with a folder of organ maps.")
    step = part(console.progress, 0.0, 0.8)
    if options.organ_maps is not None:
        return gather_phantoms(options.organ_maps, options.count, options.seed, step)
    return gather(read_sets(options.sets), step)


def _description(groups: Mapping[str, Sequence[CaseSites]], figures: Mapping[str, Diversity]) -> Row:
    """Figures of each group and, where there are several, those of as many lesions each."""
    from PSMASegmentLib.evaluation.body_frame import SPACING_MM
    from PSMASegmentLib.evaluation.diversity import COVERED_MM, rarefied_sites
    from PSMASegmentLib.evaluation.occurrence_map import SIGMA_MM, lesions_by_level

    fewest = min((one.lesions for one in figures.values() if one.lesions), default=0)
    rows: dict[str, Row] = {}
    for name, one in figures.items():
        alike = rarefied_sites(groups[name], fewest) if fewest and one.lesions else None
        rows[name] = {**asdict(one), "sites_rarefied": alike, "by_level": lesions_by_level(groups[name])}
    return {
        "cell_mm": SPACING_MM,
        "blur_sigma_mm": SIGMA_MM,
        "covered_mm": COVERED_MM,
        "rarefied_to_lesions": fewest or None,
        "sets": rows,
    }


def _relation(figures: Mapping[str, Diversity], dices: Mapping[str, float]) -> Relation:
    from PSMASegmentLib.evaluation.diversity import diversity_and_dice

    try:
        return diversity_and_dice(
            [one.sites for one in figures.values()],
            [dices[name] for name in figures],
            [float(one.cases) for one in figures.values()],
        )
    except ValueError as error:
        raise InputError(str(error)) from error


def _diversity_lines(result: Row, to: Path) -> list[str]:
    lines = []
    for name, row in result["sets"].items():
        interval = row["sites_interval"]
        range_text = "" if interval is None else f" (95 % {interval[0]:.1f} to {interval[1]:.1f})"
        lines.append(
            f"{name}: {row['sites']:.1f} effective sites{range_text}, {row['lesions']} lesions in {row['cases']} "
            f"studies, {100.0 * row['covered']:.0f} % of the body covered"
        )
    if result["left_out"]:
        lines.append(f"{len(result['left_out'])} studies were left out; diversity.json says why.")
    if result["relation"] is not None:
        one = result["relation"]
        low, high = one["interval"]
        lines.append(f"Diversity and Dice: rho {one['rho']:.2f} (95 % {low:.2f} to {high:.2f}), p {p_text(one['p'])}")
    return [*lines, f"Maps, tables and figures are in {to}"]


def domain_shift(options: argparse.Namespace, console: Console) -> int:
    """``psma domain-shift``: embeddings of scans, their map, and how far scanners or sites lie apart."""
    from PSMASegmentLib.evaluation.domain_shift import scan_map, separation

    from .diversity_cases import read_groups
    from .diversity_report import write_domain_shift
    from .study_sets import read_sets

    if options.permutations < 1:
        raise InputError(f"--permutations is {options.permutations}; at least one is needed.")
    studies = [study for study in read_sets(options.sets) if study.emission is not None]
    if not studies:
        raise InputError("The sets hold no uptake (NAME_suv.nii.gz) that a network could look at.")
    groups = [study.set_name for study in studies] if options.groups is None else read_groups(options.groups, studies)
    encoder = _encoder(options, console)
    require_folder(options.to)
    vectors = _embedded(studies, encoder, console)
    console.progress(0.9, "Comparing the groups")
    try:
        scans = scan_map(vectors)
        apart = separation(scans, groups, [study.man for study in studies], options.seed, options.permutations)
    except ValueError as error:
        raise InputError(str(error)) from error
    result = _shift_result(encoder, scans, apart, options)
    write_domain_shift(options.to, result, studies, groups, vectors, scans, apart)
    _write_json(options.to / "domain-shift.json", result)
    sizes = ", ".join(f"{name} ({count})" for name, count in apart.groups.items())
    figures = (
        f"AUC {apart.auc:.3f} (p {p_text(apart.auc_p)}), silhouette {apart.silhouette:.3f} "
        f"(p {p_text(apart.silhouette_p)})"
    )
    lines = [encoder.about, f"{sizes}: {figures}", f"Map and tables are in {options.to}"]
    console.done(result, lines)
    return exit_codes.DONE


def _encoder(options: argparse.Namespace, console: Console) -> Encoder:
    from PSMASegmentLib.evaluation.embedding import ViewEncoder, package_encoder

    try:
        if options.package is not None:
            return package_encoder(options.package, options.device, console.asking, options.layer)
        return ViewEncoder(options.view_network, console.asking, options.device)
    except ImportError as error:
        raise InputError(
            f"Networks need PyTorch, which is missing ({error}): pip install 'psmatheranostics[network]'."
        ) from error
    except ValueError as error:
        raise InputError(str(error)) from error


def _embedded(studies: Sequence[SetStudy], encoder: Encoder, console: Console) -> list[list[float]]:
    from .lib_errors import naming

    vectors = []
    for number, study in enumerate(studies):
        console.progress(0.9 * number / len(studies), f"{study.set_name}: {study.name}, {number + 1} of {len(studies)}")
        with naming(f"{study.set_name}/{study.name}"):
            vectors.append([float(value) for value in encoder.embed(study.images())])
    return vectors


def _shift_result(encoder: Encoder, scans: ScanMap, apart: Separation, options: argparse.Namespace) -> Row:
    pairs = [{"groups": list(pair), "auc": auc} for pair, auc in apart.pairs.items()]
    return {
        "software": __version__,
        "embedding": encoder.about,
        "components": scans.components.shape[1],
        "explained": list(scans.explained),
        "seed": options.seed,
        "permutations": options.permutations,
        **asdict(apart),
        "pairs": pairs,
    }


def _write_json(path: Path, result: Mapping[str, Any]) -> None:
    write_whole(path, (json.dumps(result, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode())
