"""From the stored values of a SPECT to Bq/mL: the one linear scaling that its header defines, applied once.

In this order: RealWorldValueMappingSequence in a unit of activity concentration; Units BQML with the rescale slope;
counts with a calibration factor that a person enters. A mapping applies to the stored values, so the rescale slope is
never applied with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset

from .dicom_values import first_item, items, number, tag_text, text
from .entered_values import Entered, how_to_enter, told
from .errors import InputError

# UCUM is case-sensitive: mBq is a thousandth, MBq a million. BQML is how PET writes it.
_CONCENTRATION = re.compile(r"([kMG]?)Bq(?:/|\.)?(?:ml|mL|ML|cm3|cc)")
_PREFIX = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_COUNTS = ("{counts}", "counts", "cnts")
_CALIBRATION = "calibration_cps_per_mbq"


@dataclass(frozen=True)
class Conversion:
    """Bq/mL = (stored value x ``slope`` + ``intercept``) x ``factor``.

    Slope and intercept are those of the header and lead to its unit, one of which is ``factor`` Bq/mL. ``mapped`` is
    the range of stored values that a real-world value mapping is stated for.
    """

    slope: float
    intercept: float
    factor: float
    method: str
    inputs: dict[str, Any]
    entered: tuple[str, ...] = ()
    mapped: tuple[float, float] | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Linear:
    slope: float
    intercept: float
    inputs: dict[str, Any]


def to_bq_per_ml(header: Dataset, voxel_ml: float, entered: Entered | None, where: str) -> Conversion:
    """How stored values become Bq/mL.

    ``voxel_ml`` is the volume of a voxel in mL. Raises InputError, naming ``where``, the attribute and the remedy, for
    units that are no activity concentration, lookup tables, and counts without a calibration factor.
    """
    mappings = items(header, "RealWorldValueMappingSequence")
    units = [_unit(mapping) for mapping in mappings]
    factors = [_bq_per_ml(unit) for unit in units]
    if any(factor is not None for factor in factors):
        return _mapped(header, mappings, units, factors, where)
    rescale = _rescale(header)
    found = text(header, "Units").upper()
    if found == "BQML":
        return _stored_as_concentration(rescale, where)
    unknown = [unit for unit in units if unit.lower() not in _COUNTS]
    if unknown or found not in ("", "CNTS"):
        names = ", ".join(unit or "missing" for unit in unknown) if unknown else found
        attribute = "RealWorldValueMappingSequence" if unknown else "Units"
        raise InputError(
            f"{where}: the unit in {tag_text(attribute)} is {names}, which is no activity concentration "
            "(Bq/ml, kBq/ml or MBq/ml). Export the series in Bq/mL."
        )
    counts = _one_mapping(mappings, where) if mappings else rescale or _Linear(1.0, 0.0, {})
    return _calibrated(header, counts, voxel_ml, entered, where)


def _unit(item: Dataset) -> str:
    return text(first_item(item, "MeasurementUnitsCodeSequence"), "CodeValue").replace(" ", "")


def _bq_per_ml(unit: str) -> float | None:
    """What one unit is in Bq/mL, None for a unit of anything else."""
    if unit in ("BQML", "BQ/ML"):
        return 1.0
    match = _CONCENTRATION.fullmatch(unit)
    return None if match is None else _PREFIX[match[1]]


def _mapped(
    header: Dataset, mappings: list[Dataset], units: list[str], factors: list[float | None], where: str
) -> Conversion:
    wanted = [item for item, factor in zip(mappings, factors, strict=True) if factor is not None]
    index = next(index for index, factor in enumerate(factors) if factor is not None)
    unit, factor = units[index], factors[index] or 1.0
    if len({other for other, value in zip(units, factors, strict=True) if value is not None}) > 1:
        raise InputError(
            f"{where}: {tag_text('RealWorldValueMappingSequence')} maps to several units of activity concentration "
            f"({', '.join(units)}). Export the series again with one mapping."
        )
    mapping = _one_mapping(wanted, where)
    inputs: dict[str, Any] = {"real-world value unit": unit, **mapping.inputs}
    warnings = []
    rescale = _rescale(header)
    if rescale is not None and rescale.slope != 1.0:
        inputs["RescaleSlope (not applied: the mapping holds for stored values)"] = rescale.slope
        ratio = rescale.slope / (mapping.slope * factor)
        if text(header, "Units").upper() == "BQML" and abs(ratio - 1.0) > 0.01:
            warnings.append(
                f"the header scales twice: {tag_text('RealWorldValueMappingSequence')} to {mapping.slope * factor:g} "
                f"Bq/mL per stored unit, {tag_text('RescaleSlope')} with Units BQML to {rescale.slope:g}; the first "
                "was used"
            )
    return Conversion(
        slope=mapping.slope,
        intercept=mapping.intercept,
        factor=factor,
        method=f"real-world value mapping of stored values to {unit}",
        inputs=inputs,
        mapped=_mapped_range(wanted),
        warnings=warnings,
    )


def _one_mapping(mappings: list[Dataset], where: str) -> _Linear:
    """The linear mapping that all items agree on. Some programs write the same item twice."""
    if any("RealWorldValueLUTData" in item for item in mappings):
        raise InputError(
            f"{where}: {tag_text('RealWorldValueMappingSequence')} is a lookup table, not a slope; this is not "
            "supported. Export the series with a linear mapping."
        )
    pairs = {(number(item, "RealWorldValueSlope"), number(item, "RealWorldValueIntercept")) for item in mappings}
    if len(pairs) > 1:
        raise InputError(
            f"{where}: {tag_text('RealWorldValueMappingSequence')} holds {len(pairs)} different mappings for parts of "
            "the stored values; only one for the whole image is supported. Export the series again."
        )
    slope, intercept = pairs.pop()
    if slope is None or slope <= 0 or intercept is None:
        raise InputError(
            f"{where}: {tag_text('RealWorldValueSlope')} is not above zero or {tag_text('RealWorldValueIntercept')} is "
            "missing. Export the series again."
        )
    return _Linear(slope, intercept, {"RealWorldValueSlope": slope, "RealWorldValueIntercept": intercept})


def _mapped_range(mappings: list[Dataset]) -> tuple[float, float] | None:
    ends: list[float] = []
    for item in mappings:
        for prefix in ("", "DoubleFloat"):
            for end in ("First", "Last"):
                value = number(item, f"{prefix}RealWorldValue{end}ValueMapped")
                ends += [] if value is None else [value]
    return (min(ends), max(ends)) if len(ends) >= 2 else None


def _rescale(header: Dataset) -> _Linear | None:
    slope, intercept = number(header, "RescaleSlope"), number(header, "RescaleIntercept")
    if slope is None or slope == 0:
        return None
    return _Linear(slope, intercept or 0.0, {"RescaleSlope": slope, "RescaleIntercept": intercept or 0.0})


def _stored_as_concentration(rescale: _Linear | None, where: str) -> Conversion:
    if rescale is None:
        raise InputError(
            f"{where}: {tag_text('Units')} is BQML, but {tag_text('RescaleSlope')} is missing or zero. "
            "Export the series again."
        )
    return Conversion(
        slope=rescale.slope,
        intercept=rescale.intercept,
        factor=1.0,
        method="BQML",
        inputs={"Units": "BQML", **rescale.inputs},
    )


def _calibrated(header: Dataset, counts: _Linear, voxel_ml: float, entered: Entered | None, where: str) -> Conversion:
    """Counts to Bq/mL with the sensitivity of the camera.

    Bq/mL = counts / (time per projection [s] x projections) / sensitivity [cps/MBq] x 1e6 / voxel [mL]; the vendors
    count the projections differently (as PyTheranostics, https://github.com/qurit/PyTheranostics, converts them).
    """
    sensitivity = None if entered is None else entered.calibration_cps_per_mbq
    if sensitivity is None:
        raise InputError(
            f"{where} holds counts only: it has neither {tag_text('RealWorldValueMappingSequence')} in Bq/ml nor "
            f"{tag_text('Units')} BQML. Export it in Bq/mL, or enter the sensitivity of the camera for this nuclide "
            f"and collimator in cps/MBq: {how_to_enter(_CALIBRATION)}.",
            missing=(_CALIBRATION,),
        )
    rotation = first_item(header, "RotationInformationSequence")
    frame_ms = number(rotation, "ActualFrameDuration") or number(header, "ActualFrameDuration")
    if frame_ms is None or frame_ms <= 0:
        raise InputError(
            f"{where}: {tag_text('ActualFrameDuration')} in {tag_text('RotationInformationSequence')} is missing: "
            "counts cannot be calibrated without the time per projection. Export the series in Bq/mL."
        )
    projections = _projections(header, rotation, entered, where)
    return Conversion(
        slope=counts.slope,
        intercept=counts.intercept,
        factor=1e6 / (frame_ms / 1000.0 * projections.count * sensitivity * voxel_ml),
        method=f"counts, calibrated with {sensitivity:g} cps/MBq over {projections.count} projections "
        f"({projections.rule})",
        inputs={
            **counts.inputs,
            f"{_CALIBRATION} [cps/MBq]": sensitivity,
            "ActualFrameDuration [ms]": frame_ms,
            "projections": projections.count,
            "voxel volume [mL]": voxel_ml,
        },
        entered=(_CALIBRATION, *projections.entered),
        warnings=[told(_CALIBRATION, sensitivity), *projections.warnings],
    )


@dataclass(frozen=True)
class _Projections:
    """Number of projections whose counts are added up in a reconstructed voxel, and the rule that says so."""

    count: int
    rule: str
    entered: tuple[str, ...] = ()
    warnings: list[str] = field(default_factory=list)


def _projections(header: Dataset, rotation: Dataset, entered: Entered | None, where: str) -> _Projections:
    if entered is not None and entered.projections is not None:
        return _Projections(
            entered.projections, "entered", ("projections",), [told("projections", entered.projections)]
        )
    frames, detectors = number(rotation, "NumberOfFramesInRotation"), number(header, "NumberOfDetectors")
    vendor = text(header, "Manufacturer").upper()
    if vendor.startswith("GE") and frames is not None and frames >= 1:
        return _Projections(int(frames), "GE: frames in the rotation")
    if vendor.startswith("SIEMENS") and frames is not None and frames >= 1 and detectors is not None and detectors >= 1:
        rule = f"Siemens: {frames:g} frames in the rotation x {detectors:g} detector(s)"
        one_head = (
            f"{tag_text('NumberOfDetectors')} is 1; if two heads counted, the activity is twice too high: "
            f"{how_to_enter('projections')}"
        )
        return _Projections(int(frames * detectors), rule, warnings=[one_head] if detectors == 1 else [])
    raise InputError(
        f"{where}: the number of projections is not known: it is {tag_text('NumberOfFramesInRotation')} for GE, that "
        f"times {tag_text('NumberOfDetectors')} for Siemens, and not written the same way by others "
        f'({tag_text("Manufacturer")} is "{text(header, "Manufacturer")}"). Enter it: {how_to_enter("projections")}.',
        missing=("projections",),
    )
