"""Reference regions of a case: placed after segmentation, moved by hand, kept with what was measured in them.

They stand in the setting "reference regions" as ``{study: {name: {...}}}``, so that results need no image. A region
that a person placed or removed is left as it is by every later segmentation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from PSMASegmentLib import reference_regions as placing
from PSMASegmentLib.organs import OrganMap

from .case_database import readable
from .clinical_model import REFERENCE_REGIONS, ReferenceRegionResult
from .errors import InputError
from .lib_errors import naming
from .progress import Progress, part
from .records import StudyRecord
from .suv_emission import suv_emission

if TYPE_CHECKING:
    import SimpleITK as sitk

    from .case_store import CaseStore

SETTING = "reference regions"
AUTOMATIC, BY_HAND = "automatic", "by hand"
_BY_UPTAKE = "The organ was found by its uptake: check its place."
_REMOVED = "Removed by hand."
# A choice of this software: larger spheres fit into no reference organ.
LARGEST_RADIUS_MM = 50.0


@readable()
def references_of(case: CaseStore) -> dict[int, tuple[ReferenceRegionResult, ...]]:
    """The regions of every study that has any, by study id, in the order of ``REFERENCE_REGIONS``.

    Raises CaseError where what is stored cannot be read.
    """
    stored = _stored(case)
    found = {study_id: tuple(_results(regions)) for study_id, regions in stored.items()}
    return {study_id: regions for study_id, regions in found.items() if regions}


@readable()
def missing_references(case: CaseStore) -> dict[int, dict[str, str]]:
    """Why regions that were looked for are not there, by study id and name."""
    stored = _stored(case)
    return {
        study_id: {name: str(region["missing"]) for name, region in regions.items() if "missing" in region}
        for study_id, regions in stored.items()
    }


@readable()
def placed_by_hand(case: CaseStore, study_id: int) -> tuple[placing.Reference, ...]:
    """The regions of a study that a person placed or moved, as methods that measure organs take them."""
    found = []
    for name, region in _stored(case).get(study_id, {}).items():
        if region.get("source") == BY_HAND and "center_mm" in region:
            one = _result(name, region)
            found.append(
                placing.Reference(
                    one.name, one.center_mm, one.radius_mm, one.suv_mean, one.suv_sd, one.voxels, one.note
                )
            )
    return tuple(found)


def place_references(
    case: CaseStore, study_id: int | None = None, progress: Progress | None = None, *, keep_removed: bool = False
) -> None:
    """Place the regions of one study, by default of every PET whose SUVs are known, and measure them. One step.

    Organs come from the organ map, else from what the segmentation took for their uptake. Those that a person placed
    stay; those that a person removed come back, unless ``keep_removed``.

    Raises:
        InputError: the study holds no SUVs, or its images do not fit together.
        CaseError: there is no such study, or an image is missing or damaged.
    """
    if study_id is None:
        chosen = [study for study in case.studies() if study.modality == "PET" and has_suv(study)]
    else:
        chosen = [case.study(study_id)]
    stored = _stored(case)
    for index, study in enumerate(chosen):
        step = part(progress, index / len(chosen), (index + 1) / len(chosen))
        step(0.0, f"Placing reference regions of {study.label}")
        before = stored.get(study.study_id, {})
        stored[study.study_id] = _placed(case, study, before, keep_removed)
    named = f" of {chosen[0].label}" if len(chosen) == 1 else ""
    _save(case, stored, f"Place the reference regions{named}")
    part(progress, 0.0, 1.0)(1.0, "Reference regions placed")


def place_missing_references(case: CaseStore, study_ids: Sequence[int]) -> None:
    """Place the regions of those of the studies for which nobody and nothing has looked for any yet."""
    stored = _stored(case)
    for study_id in study_ids:
        if study_id not in stored and has_suv(case.study(study_id)):
            place_references(case, study_id)


def move_reference(
    case: CaseStore,
    study_id: int,
    name: str,
    center_mm: Sequence[float],
    radius_mm: float | None = None,
    emission: sitk.Image | None = None,
) -> ReferenceRegionResult:
    """Put a region where a person says (LPS mm), measure it and return it. One step.

    Without ``radius_mm`` it keeps the radius that it has, or gets the usual one. ``emission`` is the image of the study
    in SUV (``suv_image``) where it was read before; without it, it is read here.

    Raises:
        InputError: a name that is none of ``REFERENCE_REGIONS``, a place that reaches out of the image, a radius that
            is not from above 0 to 50 mm, or a study without SUVs.
        CaseError: there is no such study, or its image is missing or damaged.
    """
    _require_name(name)
    study = case.study(study_id)
    stored = _stored(case)
    before = stored.get(study_id, {}).get(name, {})
    radius = float(before.get("radius_mm", placing.RADIUS_MM[name]) if radius_mm is None else radius_mm)
    if not 0 < radius <= LARGEST_RADIUS_MM:
        raise InputError(
            f"{radius:g} mm is no radius of a reference region. Choose one up to {LARGEST_RADIUS_MM:g} mm."
        )
    if len(center_mm) != 3:
        raise InputError("A reference region needs a center of three coordinates, x, y and z in mm (LPS).")
    center = (float(center_mm[0]), float(center_mm[1]), float(center_mm[2]))
    image = suv_image(case, study_id) if emission is None else emission
    with naming(study.label):
        mean, sd, voxels = placing.measure_reference(image, center, radius)
    region = placing.Reference(name, center, radius, mean, sd, voxels)
    regions = {**stored.get(study_id, {}), name: _row(region, BY_HAND)}
    verb = "Move" if "center_mm" in before else "Place"
    _save(case, {**stored, study_id: regions}, f"{verb} the reference region {name} of {study.label}")
    return _result(name, regions[name])


def remove_reference(case: CaseStore, study_id: int, name: str) -> None:
    """Take a region away; later segmentations do not bring it back, ``place_references`` does. One step.

    Raises InputError where the study has no such region.
    """
    _require_name(name)
    study = case.study(study_id)
    stored = _stored(case)
    regions = stored.get(study_id, {})
    if "center_mm" not in regions.get(name, {}):
        raise InputError(f"{study.label} has no reference region in the {name}. Nothing was removed.")
    removed = {**regions, name: {"missing": _REMOVED, "source": BY_HAND}}
    _save(case, {**stored, study_id: removed}, f"Remove the reference region {name} of {study.label}")


def suv_image(case: CaseStore, study_id: int) -> sitk.Image:
    """The emission image of a study in SUV.

    Raises:
        InputError: the SUVs of the study are not known.
        CaseError: there is no such study, or its image is missing or damaged.
    """
    study = case.study(study_id)
    return suv_emission(case.load_image(study.emission_id), study.scaling, study.label)


def has_suv(study: StudyRecord) -> bool:
    """Whether the uptake of a study is known in SUV."""
    return study.scaling.quantity == "SUVbw" or study.scaling.suv_factor is not None


def _placed(
    case: CaseStore, study: StudyRecord, before: Mapping[str, Mapping[str, Any]], keep_removed: bool
) -> dict[str, Mapping[str, Any]]:
    """All regions of a study: those of a person as they were, all others anew."""
    kept = {
        name: region
        for name, region in before.items()
        if region.get("source") == BY_HAND and (keep_removed or "missing" not in region)
    }
    wanted = [name for name in REFERENCE_REGIONS if name not in kept]
    emission = suv_image(case, study.study_id)
    segmented = case.segmentation(study.study_id) is not None
    lesions = case.labels(study.study_id) if segmented else None  # without those that were rejected
    found: dict[str, Mapping[str, Any]] = {}
    for organs, note in _organ_maps(case, study, segmented):
        told = placing.regions_named(organs)
        looked_for = [name for name in wanted if name in told and name not in found]
        with naming(study.label):
            placed = placing.place_references(emission, organs, lesions, looked_for)
        found |= {one.name: _row(one, AUTOMATIC, note) for one in placed.references}
        found |= {name: {"missing": why, "source": AUTOMATIC} for name, why in placed.missing.items()}
    unknown = {"missing": "No organ map and no uptake that was recognized shows the organ.", "source": AUTOMATIC}
    return {name: kept.get(name) or found.get(name, unknown) for name in REFERENCE_REGIONS}


def _organ_maps(case: CaseStore, study: StudyRecord, segmented: bool) -> Iterator[tuple[OrganMap, str]]:
    """Maps to look for organs in, the surer one first, with what is to be said of regions from them."""
    if study.organs_id is not None:
        yield OrganMap(case.load_image(study.organs_id), dict(study.organ_names)), ""
    physiology = case.physiology(study.study_id) if segmented else None
    if physiology is not None:
        yield OrganMap(*physiology), _BY_UPTAKE


def _row(region: placing.Reference, source: str, note: str = "") -> dict[str, Any]:
    row = asdict(region)
    del row["name"]
    row["center_mm"] = list(region.center_mm)
    return {**row, "source": source, "note": " ".join(text for text in (region.note, note) if text)}


def _results(regions: Mapping[str, Mapping[str, Any]]) -> Iterator[ReferenceRegionResult]:
    for name in REFERENCE_REGIONS:
        if "center_mm" in regions.get(name, {}):
            yield _result(name, regions[name])


def _result(name: str, region: Mapping[str, Any]) -> ReferenceRegionResult:
    x, y, z = region["center_mm"]
    return ReferenceRegionResult(
        name=name,
        center_mm=(float(x), float(y), float(z)),
        radius_mm=float(region["radius_mm"]),
        suv_mean=float(region["suv_mean"]),
        suv_sd=float(region["suv_sd"]),
        voxels=int(region["voxels"]),
        source=str(region["source"]),
        note=str(region.get("note", "")),
    )


@readable()
def _stored(case: CaseStore) -> dict[int, dict[str, Mapping[str, Any]]]:
    return {int(study): dict(regions) for study, regions in case.setting(SETTING).items()}


def _save(case: CaseStore, stored: Mapping[int, Mapping[str, Any]], action: str) -> None:
    with case.step(action):
        case.save_setting(SETTING, {str(study): stored[study] for study in sorted(stored)})


def _require_name(name: str) -> None:
    if name not in REFERENCE_REGIONS:
        raise InputError(f"'{name}' is no reference region. Possible: {', '.join(REFERENCE_REGIONS)}.")
