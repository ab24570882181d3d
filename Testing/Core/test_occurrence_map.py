"""Occurrence maps in one body: places of organs and lesions, what a map holds, and the effective number of sites."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest
import SimpleITK as sitk
from data_dir import test_data
from organ_map_maker import NAMES, organ_map
from PSMASegmentLib.evaluation.body_frame import LEVELS, SPACING_MM, body_grid, fit_to_reference, levels_of
from PSMASegmentLib.evaluation.diversity import (
    COVERED_MM,
    diversity,
    diversity_and_dice,
    effective_sites,
    rarefied_sites,
)
from PSMASegmentLib.evaluation.occurrence_map import (
    SIGMA_MM,
    CaseSites,
    LesionSites,
    case_sites,
    lesions_by_level,
    map_image,
    occurrence_map,
    site_matrix,
)
from PSMASegmentLib.measure import components
from PSMASegmentLib.organs import OrganMap
from PSMASegmentLib.phantom.organ_map_fit import Fit
from PSMASegmentLib.phantom.skeleton import bone_site

APART = [(0.0, 0.0, 100.0), (0.0, 0.0, 300.0), (60.0, 30.0, 500.0), (-90.0, 0.0, 0.0)]


@lru_cache
def reference_fit() -> Fit:
    return fit_to_reference(OrganMap(organ_map(4.0), dict(NAMES)))


def case(name: str, *places: tuple[float, float, float], man: str = "", volume_ml: float = 1.0) -> CaseSites:
    """A study with lesions of one cell each at places of the reference man."""
    cells = body_grid().cells(np.asarray(places, dtype=float).reshape(-1, 3))
    lesions = tuple(LesionSites(cells[k : k + 1], np.ones(1), volume_ml) for k in range(len(cells)))
    return CaseSites(name, man or name, "made", lesions)


def labels_at(*places: tuple[float, float, float], like: sitk.Image) -> sitk.Image:
    """One voxel for each lesion, 1, 2, ..."""
    values = np.zeros(like.GetSize()[::-1], np.uint16)
    for number, place in enumerate(places, start=1):
        x, y, z = like.TransformPhysicalPointToIndex(place)
        values[z, y, x] = number
    image = sitk.GetImageFromArray(values)
    image.CopyInformation(like)
    return image


def test_the_reference_man_lies_on_himself() -> None:
    places = np.asarray([bone_site("T9"), bone_site("ilium right"), bone_site("rib 6 left")])
    assert np.abs(reference_fit().points_to_reference(places) - places).max() < 6.0


def test_a_man_of_another_size_elsewhere_comes_to_the_same_places() -> None:
    image = organ_map(4.0, (1.08, 1.08, 0.94))
    image.SetOrigin([o + s for o, s in zip(image.GetOrigin(), (31.0, -17.0, -900.0), strict=True)])
    fit = fit_to_reference(OrganMap(image, dict(NAMES)))
    for bone in ("T9", "L4", "ilium right", "rib 6 left"):
        site = np.asarray(bone_site(bone))
        here = site * (1.08, 1.08, 0.94) + (31.0, -17.0, -900.0)
        assert np.linalg.norm(fit.points_to_reference(here[None])[0] - site) < 12.0, bone


def test_a_map_turned_around_gives_the_same_fit() -> None:
    turned = sitk.DICOMOrient(organ_map(4.0), "RAS")
    points = np.asarray(APART)
    there = fit_to_reference(OrganMap(turned, dict(NAMES))).points_to_reference(points)
    assert there == pytest.approx(reference_fit().points_to_reference(points), abs=1e-3)


def test_kidneys_alone_are_enough_and_no_organ_is_not() -> None:
    image = organ_map(6.0)
    kidneys = [value for value, name in NAMES.items() if "kidney" in name]
    fit = fit_to_reference(OrganMap(image, {value: NAMES[value] for value in kidneys}))
    assert fit.points_to_reference(np.asarray([[0.0, 0.0, 216.0]]))[0] == pytest.approx([0.0, 0.0, 216.0], abs=8.0)
    with pytest.raises(ValueError, match="holds no kidneys"):
        fit_to_reference(OrganMap(image, dict.fromkeys(NAMES, "muscle")))


def moved(organ: str, axis: int, voxels: int) -> OrganMap:
    """Kidneys, prostate and bladder of the reference man, one of them moved by voxels along an axis (z, y, x)."""
    image = organ_map(4.0)
    values = sitk.GetArrayFromImage(image)
    own = next(value for value, name in NAMES.items() if name == organ)
    place = np.roll(values == own, voxels, axis)
    values[values == own] = 0
    values[place] = own
    other = sitk.GetImageFromArray(values)
    other.CopyInformation(image)
    kept = ("kidneys", "prostate", "urinary bladder")
    return OrganMap(other, {value: name for value, name in NAMES.items() if name in kept})


def test_kidneys_say_where_the_belly_is_without_a_liver() -> None:
    fit = fit_to_reference(moved("kidneys", 2, 6))
    assert fit.points_to_reference(np.asarray([[24.0, 40.0, 216.0]]))[0] == pytest.approx([0.0, 40.0, 216.0], abs=6.0)


def test_landmarks_beside_each_other_count_as_one() -> None:
    """A prostate 60 mm deeper would else stretch the pelvis between it and the bladder."""
    fit = fit_to_reference(moved("prostate", 0, -15))
    assert fit.to_real((0.0, 0.0, -5.0))[2] == pytest.approx(-35.0, abs=5.0)


def test_levels_are_those_of_the_skeleton() -> None:
    sites = ("femur left", "sacrum", "L2", "T5", "skull")
    cells = body_grid().cells(np.asarray([bone_site(name) for name in sites]))
    assert [LEVELS[k] for k in levels_of(cells)] == ["thighs", "pelvis", "abdomen", "chest", "neck and head"]
    assert body_grid().inside.ravel()[cells].all()


def test_lesions_of_an_image_come_to_their_places_and_those_far_off_are_counted() -> None:
    image = organ_map(4.0)
    bones = [bone_site("T9"), bone_site("ilium right")]
    found = case_sites("a", "man", labels_at(*bones, like=image), reference_fit(), "organ map")
    for lesion, cell in zip(found.lesions, body_grid().cells(np.asarray(bones)), strict=True):
        here, there = (np.asarray(np.unravel_index(one, body_grid().inside.shape)) for one in (lesion.cells[0], cell))
        assert lesion.cells.size == 1 and np.abs(here - there).max() <= 1
        assert lesion.volume_ml == pytest.approx(0.064)
    image.SetOrigin((0.0, 0.0, 5000.0))
    labels = labels_at(image.TransformIndexToPhysicalPoint((5, 5, 5)), like=image)
    far = case_sites("b", "man", labels, reference_fit())
    assert (len(far.lesions), far.beyond) == (0, 1)


def test_a_map_holds_the_share_of_studies_with_lesion() -> None:
    cases = [case("a", APART[0], APART[0]), case("b", APART[0]), case("c", APART[1]), case("d")]
    values = occurrence_map(cases)
    assert values.sum() == pytest.approx(3 / 4)
    peak = np.unravel_index(values.argmax(), values.shape)
    assert np.ravel_multi_index(peak, values.shape) == body_grid().cells(np.asarray(APART[:1]))[0]
    # A point through the Gaussian, but for the cut-off of its tails and the size of a cell.
    assert values.max() == pytest.approx(0.5 * (SPACING_MM / SIGMA_MM) ** 3 / (2 * math.pi) ** 1.5, rel=0.02)
    image = map_image(values)
    index = image.TransformPhysicalPointToIndex(APART[0])
    assert sitk.GetArrayViewFromImage(image)[index[::-1]] == pytest.approx(values.max())
    with pytest.raises(ValueError, match="at least one study"):
        occurrence_map([])


def test_weights_say_what_counts_alike() -> None:
    cases = [case("a", *APART[:3], volume_ml=2.0), case("b", APART[3], volume_ml=5.0), case("c")]
    sums = {weights: site_matrix(cases, weights).sum(axis=1).A1.tolist() for weights in ("lesions", "cases", "volume")}
    assert sums == {"lesions": [3, 1, 0], "cases": [pytest.approx(1), 1, 0], "volume": [6, 5, 0]}
    with pytest.raises(ValueError, match="no weights 'voxels'"):
        site_matrix(cases, "voxels")


@pytest.mark.parametrize("count", [1, 2, 4])
def test_places_far_apart_count_one_each(count: int) -> None:
    once = diversity([case("a", *APART[:count])])
    assert once.sites == pytest.approx(count, rel=1e-3)
    often = diversity([case(str(number), *APART[:count]) for number in range(5)])
    assert often.sites == pytest.approx(count, rel=1e-3)
    assert (often.cases, often.men, often.lesions) == (5, 5, 5 * count)


def test_sites_are_the_entropy_computed_directly() -> None:
    rng = np.random.default_rng(4)
    inside = np.flatnonzero(body_grid().inside)
    cells = np.zeros(body_grid().inside.size)
    cells[rng.choice(inside, 12)] += rng.uniform(0.1, 3.0, 12)
    # Gaussian weights by hand, in place of the filter.
    places = np.stack(np.unravel_index(np.flatnonzero(cells), body_grid().inside.shape), axis=1)
    grid = np.stack(np.meshgrid(*map(np.arange, body_grid().inside.shape), indexing="ij"), axis=-1)

    def entropy(weights: np.ndarray, centers: np.ndarray) -> float:
        total = np.zeros(body_grid().inside.shape)
        for weight, center in zip(weights, centers, strict=True):
            kernel = np.exp(-0.5 * ((grid - center) ** 2).sum(axis=-1) * (SPACING_MM / SIGMA_MM) ** 2)
            total += weight * kernel / kernel.sum()
        shares = total[total > 0] / total.sum()
        return float(-(shares * np.log(shares)).sum())

    point = entropy(np.ones(1), np.asarray([[n // 2 for n in body_grid().inside.shape]]))
    expected = math.exp(entropy(cells[np.flatnonzero(cells)], places) - point)
    assert effective_sites(cells) == pytest.approx(expected, rel=0.01)


def test_no_lesion_knows_nothing() -> None:
    nothing = diversity([case("a"), case("b")])
    assert (nothing.sites, nothing.covered, nothing.lesions, nothing.sites_interval) == (0.0, 0.0, 0, None)


def test_covered_is_the_part_of_the_body_near_a_lesion() -> None:
    one = diversity([case("a", (0.0, 0.0, 300.0))])
    reach = np.mgrid[-4:5, -4:5, -4:5] * SPACING_MM
    cells = int(((reach**2).sum(axis=0) <= COVERED_MM**2).sum())
    assert one.covered == pytest.approx(cells / body_grid().inside.sum())
    assert diversity([case("a", (0.0, 0.0, 300.0), (0.0, 0.0, 300.0))]).covered == one.covered


def test_interval_of_alike_men_is_narrow_and_of_unlike_men_wide() -> None:
    alike = diversity([case(str(k), *APART) for k in range(6)]).sites_interval
    unlike = diversity([case(str(k), APART[k % 4]) for k in range(6)]).sites_interval
    assert alike is not None and unlike is not None
    assert alike == pytest.approx((4.0, 4.0), rel=1e-3)
    # The jackknife by hand: men 0 to 5 have places 0, 1, 2, 3, 0, 1, and one of them is left out.
    left = [diversity([case(str(k), APART[k % 4]) for k in range(6) if k != out]).sites for out in range(6)]
    error = np.sqrt(5 / 6 * ((np.log(left) - np.log(left).mean()) ** 2).sum())
    whole = diversity([case(str(k), APART[k % 4]) for k in range(6)]).sites
    assert unlike == pytest.approx((whole * np.exp(-1.959964 * error), whole * np.exp(1.959964 * error)), rel=1e-6)
    # Studies of one man are no further men.
    assert diversity([case(str(k), APART[k % 4], man="one") for k in range(6)]).sites_interval is None


def test_sets_of_any_size_are_compared_by_as_many_lesions() -> None:
    few, many = [case("a", *APART)], [case(str(k), *APART) for k in range(10)]
    assert rarefied_sites(few, 4) == pytest.approx(4.0, rel=1e-3)
    drawn = rarefied_sites(many, 4, seed=3, repeats=5)
    assert 1.5 < drawn < 4.0 and drawn == rarefied_sites(many[::-1], 4, seed=3, repeats=5)
    for count in (0, 5):
        with pytest.raises(ValueError, match="cannot be drawn"):
            rarefied_sites(few, count)


def test_lesions_by_level_add_up() -> None:
    cases = [case("a", bone_site("T5"), bone_site("sacrum")), case("b", bone_site("T6"))]
    assert lesions_by_level(cases) == {"thighs": 0, "pelvis": 1, "abdomen": 0, "chest": 2, "neck and head": 0}


def test_relation_of_diversity_and_dice() -> None:
    relation = diversity_and_dice([1, 2, 3, 4, 5], [0.5, 0.6, 0.7, 0.8, 0.9], [10, 20, 30, 40, 50])
    assert relation.rho == pytest.approx(1.0) and relation.p == pytest.approx(2 / math.factorial(5))
    assert relation.rho_given_size is None  # the size says all
    # Ranks 1 3 2 5 4 6 against 1..6: sum of squares 4, rho = 1 - 6 * 4 / 210.
    mixed = diversity_and_dice([10, 20, 30, 40, 50, 60], [0.1, 0.3, 0.2, 0.5, 0.4, 0.6], [6, 2, 5, 1, 4, 3])
    assert mixed.rho == pytest.approx(1 - 24 / 210)
    assert mixed.interval[0] < mixed.rho < mixed.interval[1] <= 1.0
    # What is left of the ranks of both after a straight line over those of the sizes.
    sizes = np.asarray([6, 2, 5, 1, 4, 3])
    left = [
        ranks - np.polyval(np.polyfit(sizes, ranks, 1), sizes) for ranks in ([1, 2, 3, 4, 5, 6], [1, 3, 2, 5, 4, 6])
    ]
    assert mixed.rho_given_size == pytest.approx(np.corrcoef(left)[0, 1])
    nothing = diversity_and_dice([1, 2, 3, 4, 5, 6], [0.5, 0.3, 0.6, 0.6, 0.3, 0.5])
    assert abs(nothing.rho) < 0.1 and nothing.p > 0.5


@pytest.mark.parametrize(
    ("sites", "dices", "match"),
    [
        ([1, 2, 3], [0.1, 0.2, 0.3], "4 subsets or more"),
        ([1, 2, 3, 4], [0.1, 0.2, 0.3], "4 and 3 values"),
        ([1, 2, 3, 4], [0.1, 0.2, math.nan, 0.3], "finite"),
        ([2, 2, 2, 2], [0.1, 0.2, 0.3, 0.4], "same in all"),
    ],
)
def test_relation_that_cannot_be_told_is_refused(sites: list[float], dices: list[float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        diversity_and_dice(sites, dices)


def test_real_lesions_of_one_man_by_two_outlines_lie_alike() -> None:
    name = "psma_95b833d46f153cd2_2018-04-16.nii.gz"
    folder = test_data("psma-lesion-masks")
    names = {1: "spleen", 2: "kidneys (both)", 3: "liver", 4: "urinary bladder", 5: "lungs", 9: "prostate"}
    fit = fit_to_reference(OrganMap(sitk.ReadImage(str(folder / "organs" / name)), names))
    by_hand, by_network = (
        case_sites(kind, "man", components(sitk.ReadImage(str(folder / kind / name)) > 0), fit)
        for kind in ("gt", "pred_nnunet_baseline")
    )
    assert (len(by_hand.lesions), by_hand.beyond) == (111, 0)
    figures = diversity([by_hand])
    assert figures.volume_ml == pytest.approx(431.15, abs=0.01)
    assert 20.0 < figures.sites < 111.0
    maps = [occurrence_map([one]).ravel() for one in (by_hand, by_network)]
    assert np.corrcoef(maps)[0, 1] > 0.7
