"""Painted crops of studies: equal for equal arguments, and what is painted is where the truth says it is."""

from __future__ import annotations

import numpy as np
import pytest
from PSMASegmentLib.lesion_regions import BONE, PELVIC_NODE, Region
from PSMASegmentLib.phantom.lesions import Lesion, radii_for
from PSMASegmentLib.phantom.organ_map_lesions import Planned
from PSMASegmentLib.phantom.tissues import Tissue
from PSMASegmentLib.training.bodies import Body
from PSMASegmentLib.training.crop_lesions import target_of
from PSMASegmentLib.training.study_crops import ORGAN_CLASSES, StudyCrop, StudyCrops, physiological
from scipy import ndimage
from study_crop_men import SPACING_MM, built_man

TRACERS = ("68Ga-PSMA-11", "18F-DCFPyL", "18F-PSMA-1007")
FIELDS = ("emission", "ct", "lesions", "unseen", "organs")


@pytest.fixture(scope="module")
def man() -> Body:
    return built_man()


def crops_of(man: Body, rounds: int, modalities: tuple[str, ...], **options) -> list[StudyCrop]:
    crops = StudyCrops([man], 7, 4, 32, modalities, TRACERS, **options)
    return [crop for number in range(rounds) for crop in crops.crops(number)]


@pytest.fixture(scope="module")
def pet(man) -> list[StudyCrop]:
    return crops_of(man, 15, ("PET",))


@pytest.fixture(scope="module")
def spect(man) -> list[StudyCrop]:
    return crops_of(man, 12, ("SPECT",))


def test_a_round_is_the_same_whatever_was_asked_before(man):
    asked_all = StudyCrops([man], 7, 2, 24, ("PET", "SPECT"), TRACERS)
    for number in range(3):
        asked_all.crops(number)
    one, other = asked_all.crops(3), StudyCrops([man], 7, 2, 24, ("PET", "SPECT"), TRACERS).crops(3)
    for a, b in zip(one, other, strict=True):
        assert all(np.array_equal(getattr(a, field), getattr(b, field)) for field in FIELDS)
        assert (a.prior is None) == (b.prior is None) and (a.prior is None or np.array_equal(a.prior, b.prior))
        assert (a.modality, a.tracer) == (b.modality, b.tracer)
    seeds = [StudyCrops([man], seed, 2, 24, ("PET",), TRACERS).crops(3)[0].emission for seed in (7, 8)]
    assert not np.array_equal(*seeds)
    assert not np.array_equal(one[0].emission, one[1].emission)
    assert not np.array_equal(one[0].emission, asked_all.crops(4)[0].emission)


def test_the_first_crops_of_a_round_do_not_depend_on_how_many_there_are(man):
    few, many = (StudyCrops([man], 7, batch, 24, ("PET",), TRACERS).crops(1) for batch in (1, 3))
    assert np.array_equal(few[0].emission, many[0].emission)


def test_arrays_lie_on_one_grid_and_hold_what_they_say(pet, spect):
    for crop in pet + spect:
        assert all(getattr(crop, field).shape == (32, 32, 32) for field in FIELDS)
        kinds = [getattr(crop, field).dtype for field in FIELDS]
        assert kinds == [np.float32, np.float32, np.uint16, np.bool_, np.uint8]
        assert np.isfinite(crop.emission).all() and crop.emission.min() >= 0.0
        assert crop.ct.min() >= -1024.0 and crop.ct.max() <= 3071.0
        assert crop.spacing_mm == SPACING_MM
        assert crop.organs.max() <= len(ORGAN_CLASSES)
        assert not (crop.unseen & (crop.lesions > 0)).any()
        assert not crop.organs[(crop.lesions > 0) | crop.unseen].any()


def test_tracers_and_modalities_are_those_asked_for(pet, spect, man):
    assert {crop.tracer for crop in pet} == set(TRACERS) and all(crop.prior is None for crop in pet)
    assert {crop.tracer for crop in spect} == {"177Lu-PSMA-617"} and all(crop.prior is not None for crop in spect)
    mixed = crops_of(man, 5, ("PET", "SPECT"))
    assert {crop.modality for crop in mixed} == {"PET", "SPECT"}


def test_lesions_stand_out_of_what_lies_around_them(pet, spect):
    contrasts = []
    for crop in pet + spect:
        smooth = ndimage.gaussian_filter(crop.emission, 0.5)
        for label in range(1, int(crop.lesions.max()) + 1):
            own = crop.lesions == label
            if not own.any():
                continue
            ring = ndimage.binary_dilation(own, iterations=4) & ~ndimage.binary_dilation(
                (crop.lesions > 0) | (crop.organs > 0), iterations=2
            )
            if ring.sum() > 30:
                contrasts.append(smooth[own].max() / max(np.median(smooth[ring]), 0.05))
    assert len(contrasts) > 50
    assert np.mean(np.asarray(contrasts) > 1.3) > 0.95


def test_the_share_of_crops_without_lesions_is_kept(pet, man):
    without = np.mean([crop.lesions.max() == 0 and not crop.unseen.any() for crop in pet])
    assert 0.3 - 0.18 < without < 0.3 + 0.3  # three standard deviations; some others show none by chance
    assert not any(crop.lesions.any() or crop.unseen.any() for crop in crops_of(man, 4, ("PET",), lesion_free=1.0))
    shown = [crop.lesions.any() or crop.unseen.any() for crop in crops_of(man, 8, ("PET",), lesion_free=0.0)]
    assert np.mean(shown) > 0.85  # of 32; a lesion of less than half a voxel fills none


def test_what_is_hot_without_a_lesion_is_labeled_physiological(man):
    found, missed = 0, 0
    for crop in crops_of(man, 10, ("PET",), lesion_free=1.0):
        hot = crop.emission > 6.0
        found, missed = found + int((hot & (crop.organs > 0)).sum()), missed + int((hot & (crop.organs == 0)).sum())
    assert found > 2000 and missed < 0.01 * found


def test_every_organ_class_occurs_and_takes_up_more_than_the_rest(man):
    crops = crops_of(man, 15, ("PET",), lesion_free=1.0)
    organs = np.concatenate([crop.organs.ravel() for crop in crops])
    uptake = np.concatenate([crop.emission.ravel() for crop in crops])
    assert set(np.unique(organs)) == set(range(len(ORGAN_CLASSES) + 1))
    rest = float(uptake[(organs == 0) & (uptake > 0.0)].mean())
    means = {name: float(uptake[organs == k].mean()) for k, name in enumerate(ORGAN_CLASSES, start=1)}
    assert min(means.values()) > 2.0 * rest and means["kidneys"] > means["liver"]


def test_what_is_hot_beside_an_organ_belongs_to_it_unless_it_is_hot_by_itself():
    """Fat and gallbladder beside the liver, all hot: fat is the blur of the liver, the gallbladder is not."""
    tissue = np.full((12, 12, 12), int(Tissue.FAT), np.uint8)
    tissue[:, :, :4] = int(Tissue.LIVER)
    tissue[:6, :, 4:8] = int(Tissue.GALLBLADDER)
    organs = physiological(tissue, np.full(tissue.shape, 8.0, np.float32), "PET")
    names = ("", *ORGAN_CLASSES)
    assert {names[k] for k in np.unique(organs[:, :, :4])} == {"liver"}
    assert {names[k] for k in np.unique(organs[:6, :, 4:8])} == {"other uptake"}
    assert {names[k] for k in np.unique(organs[6:, :, 4:6])} == {"liver"}
    assert {names[k] for k in np.unique(organs[6:, :, 6:])} == {"other uptake"}
    faint = physiological(tissue, np.full(tissue.shape, 2.9, np.float32), "PET")
    assert not faint[:, :, 4:].any() and (faint[:, :, :4] == organs[:, :, :4]).all()
    assert physiological(tissue, np.full(tissue.shape, 2.9, np.float32), "SPECT")[:, :, 4:].all()


def test_lesions_that_no_image_shows_are_marked_as_unseen_and_not_as_lesions(spect, pet):
    unseen, seen = [], []
    for crop in spect + pet:
        unseen += [crop.emission[crop.unseen].mean()] if crop.unseen.any() else []
        seen += [crop.emission[crop.lesions > 0].mean()] if crop.lesions.any() else []
    assert len(unseen) >= 5
    assert np.median(unseen) < 0.5 * np.median(seen)


def test_the_prior_is_about_where_the_lesions_are_but_never_the_truth(spect):
    dice, sizes = [], []
    for crop in spect:
        there = (crop.lesions > 0) | crop.unseen
        if there.sum() >= 5 and crop.prior is not None and crop.prior.any():
            dice.append(2.0 * (there & crop.prior).sum() / (there.sum() + crop.prior.sum()))
            sizes.append(crop.prior.sum() / there.sum())
    assert len(dice) >= 15
    assert 0.2 < np.mean(dice) < 0.85
    assert np.mean(np.asarray(dice) == 1.0) < 0.1  # some of a few voxels fit by chance
    assert min(sizes) < 0.8 and max(sizes) > 1.2


def test_priors_miss_lesions_and_show_some_that_are_none(man):
    missed, none = 0, 0
    for crop in crops_of(man, 10, ("SPECT",), lesion_free=0.5):
        assert crop.prior is not None
        near = ndimage.binary_dilation(crop.prior, iterations=2)
        missed += sum(not near[crop.lesions == k].any() for k in range(1, int(crop.lesions.max()) + 1))
        none += int(crop.prior.any() and not crop.lesions.any() and not crop.unseen.any())
    assert missed >= 3 and none >= 2


def test_nothing_is_left_where_the_scan_had_ended(pet, spect):
    ended = [(crop, (crop.emission == 0.0).all(axis=(1, 2))) for crop in pet + spect]
    cut = [(crop, slices) for crop, slices in ended if slices.any()]
    assert 3 <= len(cut) <= 0.3 * len(ended)
    for crop, slices in cut:
        assert slices[0] != slices[-1] and slices.mean() <= 0.5
        assert not any(getattr(crop, field)[slices].any() for field in ("lesions", "unseen", "organs"))
        assert crop.prior is None or not crop.prior[slices].any()
        assert (crop.ct[slices] == -1000.0).all()


def test_small_lesions_and_rare_sites_are_looked_for_more_often():
    def planned(region: str, site: str, volume: float) -> Planned:
        body = Lesion(("",), site, "", (0.0, 0.0, 0.0), radii_for(volume), (1.0, 0.0, 0.0), 10.0)
        return Planned(Region(region, site), (body,), 10.0)

    rng = np.random.default_rng(1)
    sizes = [planned(BONE, "L1", 0.3), planned(BONE, "L1", 50.0)]
    assert np.mean([target_of(rng, sizes) is sizes[0] for _ in range(200)]) > 0.8
    sites = [planned(PELVIC_NODE, "external iliac", 1.0), *(planned(BONE, "L1", 1.0) for _ in range(9))]
    assert np.mean([target_of(rng, sites) is sites[0] for _ in range(400)]) > 0.25


def test_what_cannot_be_painted_is_refused(man):
    ask = {"seed": 1, "batch": 1, "voxels": 24, "modalities": ("PET",), "tracers": TRACERS}
    with pytest.raises(ValueError, match="no men"):
        StudyCrops([], **ask)
    with pytest.raises(ValueError, match="16 and 1 at least"):
        StudyCrops([man], **{**ask, "voxels": 8})
    with pytest.raises(ValueError, match="between 0 and 1"):
        StudyCrops([man], **ask, lesion_free=1.2)
    with pytest.raises(ValueError, match="not for CT"):
        StudyCrops([man], **{**ask, "modalities": ("CT",)})
    with pytest.raises(ValueError, match="18F-FDG"):
        StudyCrops([man], **{**ask, "tracers": ("18F-FDG",)})
    with pytest.raises(ValueError, match="no tracer"):
        StudyCrops([man], **{**ask, "tracers": ()})
    StudyCrops([man], **{**ask, "modalities": ("SPECT",), "tracers": ()})
