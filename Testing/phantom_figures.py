"""What synthetic studies on organ maps show, in figures that are published of patients: SUV, lesions, whole volumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk
from PSMASegmentLib.phantom.organ_map_study import OrganMapPhantom, StudiedMan
from PSMASegmentLib.phantom.tissues import Tissue
from scipy import ndimage

_RIM = {"liver": 3, "spleen": 2}  # voxels from their surface that hold spill from the kidneys; of others, one
CLEAR_MM = 12.0  # what lies so near to a lesion is not measured as an organ


@dataclass(frozen=True)
class Known:
    """One published figure: its name, value as printed, and the range in which the median over men has to fall.

    The range is the published mean or median plus and minus half a standard deviation or quartile width, so that it
    tells another level from chance over a dozen men. ``working`` marks levels that no source gives.
    """

    name: str
    tracer: str
    printed: str
    low: float
    high: float
    source: str
    working: bool = False


def _mean_sd(name: str, tracer: str, mean: float, sd: float, source: str) -> Known:
    return Known(name, tracer, f"{mean:g} ± {sd:g}", mean - 0.5 * sd, mean + 0.5 * sd, source)


_A, _B, _C = "Clin Nucl Med 2017;42(7)", "PMC5450367", "PMC12167615"
_D, _F = "10.1186/s13550-024-01097-3", "JNM 59:1406"
_AUTOPET, _SITES = "autoPET, 597 studies", "PMC10241018 Table 2"
GA, DCF, P1007 = "68Ga-PSMA-11", "18F-DCFPyL", "18F-PSMA-1007"

KNOWN: tuple[Known, ...] = (
    _mean_sd("kidneys SUVmax", GA, 66.4, 25.4, _A),
    _mean_sd("parotid SUVmax", GA, 24.4, 8.1, _A),
    _mean_sd("lacrimal SUVmax", GA, 15.7, 7.2, _A),
    _mean_sd("liver SUVmean", GA, 5.4, 1.7, _D),
    _mean_sd("liver SUVmax", GA, 8.2, 2.5, _A),
    _mean_sd("spleen SUVmean", GA, 8.1, 3.5, _D),
    _mean_sd("spleen SUVmax", GA, 10.9, 3.9, _A),
    _mean_sd("duodenum SUVmax", GA, 17.6, 8.9, _A),
    _mean_sd("vocal cords SUVmax", GA, 8.4, 3.0, _A),
    _mean_sd("Waldeyer's ring SUVmax", GA, 10.4, 4.3, _A),
    _mean_sd("thyroid SUVmax", GA, 4.5, 1.2, _A),
    _mean_sd("celiac ganglia SUVmax", GA, 2.9, 0.8, _F),
    _mean_sd("cervical ganglia SUVmax", GA, 2.4, 0.6, _F),
    _mean_sd("sacral ganglia SUVmax", GA, 1.7, 0.5, _F),
    Known("bladder SUVmax", GA, "5 to 100", 5.0, 100.0, "none", True),
    _mean_sd("kidneys SUVmean", DCF, 20.1, 4.6, _B),
    _mean_sd("parotid SUVmean", DCF, 9.1, 2.0, _B),
    _mean_sd("lacrimal SUVmean", DCF, 6.6, 1.8, _B),
    _mean_sd("liver SUVmean", DCF, 5.0, 0.7, _B),
    _mean_sd("spleen SUVmean", DCF, 4.0, 1.5, _B),
    Known("kidneys SUVmean", P1007, "13.1, IQR 4.6", 10.8, 15.4, _C),
    Known("parotid SUVmean", P1007, "18.6, IQR 6.8", 15.2, 22.0, _C),
    Known("liver SUVmean", P1007, "11.7 ± 3.9", 9.7, 13.7, _D),
    _mean_sd("spleen SUVmean", P1007, 11.2, 3.5, _D),
    Known("bladder SUVmax", P1007, "2 to 8", 2.0, 8.0, "none", True),
    Known("bone, hottest SUVmax", "", "24.0 (14.3 to 37.9)", 14.3, 37.9, _SITES),
    Known("nodes, hottest SUVmax", "", "16.7 (11.0 to 28.0)", 11.0, 28.0, _SITES),
    Known("prostate bed, hottest SUVmax", "", "10.1 (7.9 to 19.9)", 7.9, 19.9, _SITES),
    Known("visceral, hottest SUVmax", "", "17.5 (6 to 27)", 6.0, 27.0, _SITES),
    Known("whole volume, mean SUV", "", "0.144 (0.115 to 0.184)", 0.115, 0.184, _AUTOPET),
    Known("whole volume, SD of SUV", "", "0.986 (0.750 to 1.274)", 0.750, 1.274, _AUTOPET),
    Known("lesions below 1 mL, share", "", "0.42", 0.32, 0.52, _AUTOPET),
    Known("men without lesions, share", "", "0.10", 0.0, 0.20, _AUTOPET),
)

_KEYS = {"bone": "bone", "pelvic node": "nodes", "distant node": "nodes", "prostate bed": "prostate bed"}


@dataclass
class Figures:
    """Values by name and tracer ("" for all tracers together), one entry for each man who has such a value."""

    values: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def add(self, name: str, tracer: str, value: float) -> None:
        """One more value."""
        self.values.setdefault((name, tracer), []).append(float(value))

    def of(self, known: Known) -> np.ndarray:
        """The values that are compared with a published figure."""
        return np.asarray(self.values.get((known.name, known.tracer), []))


def measure(phantom: OrganMapPhantom, man: StudiedMan, figures: Figures) -> None:
    """Add what one study shows."""
    emission, truth = sitk.GetArrayFromImage(phantom.emission), sitk.GetArrayFromImage(phantom.truth)
    assert phantom.tissues is not None
    codes = sitk.GetArrayFromImage(phantom.tissues)
    figures.add("whole volume, mean SUV", "", emission.mean())
    figures.add("whole volume, SD of SUV", "", emission.std())
    size = [2 * int(np.ceil(CLEAR_MM / step)) + 1 for step in reversed(phantom.emission.GetSpacing())]
    codes[ndimage.maximum_filter((truth > 0).view(np.uint8), size=size) > 0] = int(Tissue.AIR)
    for name, value in organ_values(emission, codes, phantom, man).items():
        figures.add(name, phantom.tracer, value)
    hottest: dict[str, float] = {}
    for lesion in phantom.lesions:
        site = _KEYS.get(lesion.region.name, "visceral")
        hottest[site] = max(hottest.get(site, 0.0), lesion.suv_max)
        figures.add("lesions below 1 mL, share", "", lesion.volume_ml < 1.0)
        figures.add("volume mL", "", lesion.volume_ml)
    for site, value in hottest.items():
        figures.add(f"{site}, hottest SUVmax", "", value)
    figures.add("men without lesions, share", "", not phantom.lesions)
    figures.add("lesions of a man", "", len(phantom.lesions))
    figures.add("PSMA-TV mL", "", sum(lesion.volume_ml for lesion in phantom.lesions))


def organ_values(
    emission: np.ndarray, codes: np.ndarray, phantom: OrganMapPhantom, man: StudiedMan
) -> Mapping[str, float]:
    """SUVmean (of the inner part) and SUVmax of organs, SUVmax of small physiological uptake."""
    found: dict[str, float] = {}
    kidney = (Tissue.KIDNEY, Tissue.KIDNEY_SINUS)
    organs = {"kidneys": kidney, "liver": (Tissue.LIVER,), "spleen": (Tissue.SPLEEN,), "parotid": (Tissue.PAROTID,)}
    organs |= {"lacrimal": (Tissue.LACRIMAL,), "duodenum": (Tissue.DUODENUM,), "bladder": (Tissue.BLADDER,)}
    organs |= {"thyroid": (Tissue.THYROID,)}
    for name, tissues in organs.items():
        mask = np.isin(codes, [int(t) for t in tissues])
        if mask.sum() < 4:
            continue
        inner = ndimage.binary_erosion(mask, iterations=_RIM.get(name, 1))
        found[f"{name} SUVmax"] = emission[inner if name in _RIM and inner.any() else mask].max()
        found[f"{name} SUVmean"] = emission[inner if inner.any() else mask].mean()
    small = (
        ("celiac ganglia", Tissue.GANGLION, lambda z: 210.0 < z < 300.0),
        ("cervical ganglia", Tissue.GANGLION, lambda z: z > 480.0),
        ("sacral ganglia", Tissue.GANGLION, lambda z: z < 110.0),
        ("vocal cords", Tissue.THROAT, lambda z: z < 622.0),
        ("Waldeyer's ring", Tissue.THROAT, lambda z: z >= 622.0),
    )
    for name, tissue, is_here in small:
        value = _highest(emission, codes == int(tissue), phantom.emission, man, is_here)
        if value is not None:
            found[f"{name} SUVmax"] = value
    return found


def _highest(
    emission: np.ndarray, mask: np.ndarray, image: sitk.Image, man: StudiedMan, is_here: Callable[[float], bool]
) -> float | None:
    """Highest value in the components of a mask whose middle lies at some heights of the reference man."""
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    best = None
    for label, window in enumerate(ndimage.find_objects(labels, count), start=1):
        own = labels[window] == label
        middle = [float(c) + part.start for c, part in zip(ndimage.center_of_mass(own), window, strict=True)]
        place = image.TransformContinuousIndexToPhysicalPoint(middle[::-1])
        if is_here(float(man.fit.points_to_reference(np.asarray([place]))[0, 2])):
            best = max(best or 0.0, float(emission[window][own].max()))
    return best
