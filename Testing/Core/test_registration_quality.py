"""What is measured on a registration and what is concluded from it."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from PSMATrackingLib.bspline import Spline
from PSMATrackingLib.preparation import Prepared, prepare_ct
from PSMATrackingLib.quality import _judge, measure, rate
from PSMATrackingLib.spline_field import compose
from simple_trunk import HIGH, LOW, Array, body_hu, image_of

HERE = sitk.Euler3DTransform()
GOOD = {"similarity": 0.9, "linear_similarity": 0.85, "strain": 0.05, "overlap": 1.0, "rotation_deg": 2.0}


@pytest.fixture(scope="module")
def man() -> Prepared:
    return prepare_ct(image_of(body_hu, HERE, LOW, HIGH), "CT")


def bulge(size_mm: float) -> sitk.Transform:
    """Nothing but one control point 60 mm apart from the next, in the middle of the trunk, moved along x."""
    control = np.zeros((16, 12, 12, 3))
    control[8, 6, 6, 0] = size_mm
    return compose(
        sitk.AffineTransform(3), Spline(control, np.array([-360.0, -330.0, -100.0]), np.full(3, 60.0), np.eye(3))
    )


def test_a_study_against_itself_agrees_in_everything(man):
    verdict, reasons, quality = rate(man, man, sitk.AffineTransform(3))
    assert verdict == "good"
    assert quality["similarity"] == quality["linear_similarity"] == pytest.approx(1.0)
    assert quality["overlap"] == 1.0
    for name in ("bone_overlap", "bone_overlap_lower", "bone_overlap_middle", "bone_overlap_upper", "jacobian_min"):
        assert quality[name] == pytest.approx(1.0, abs=1e-9), name
    for name in ("strain", "bone_strain", "deformation_mm", "inverse_consistency_p95_mm", "rotation_deg"):
        assert quality[name] == pytest.approx(0.0, abs=1e-4), name
    assert reasons == ["The images agree (correlation 1.00)."]


def test_the_strength_of_a_deformation_is_measured(man):
    weak, strong = measure(man, man, bulge(10.0)), measure(man, man, bulge(40.0))
    assert 0.5 < strong["deformation_mm"] < 5.0
    assert strong["deformation_mm"] == pytest.approx(4.0 * weak["deformation_mm"], rel=0.02)
    # Steepest, by 2/3 of the size per spacing, 2/3 of a spacing from the point; along the other axes it is 2/3 high.
    assert weak["jacobian_min"] == pytest.approx(1.0 - 10.0 / 60.0 * (2.0 / 3.0) * (4.0 / 9.0), abs=0.01)
    assert weak["jacobian_max"] == pytest.approx(1.0 + 10.0 / 60.0 * (2.0 / 3.0) * (4.0 / 9.0), abs=0.01)
    assert strong["jacobian_p01"] > strong["jacobian_min"]
    assert strong["linear_similarity"] == pytest.approx(1.0)
    assert strong["similarity"] < weak["similarity"] < 1.0
    assert strong["inverse_consistency_p95_mm"] < 0.02


def test_scaling_shows_as_strain_but_not_as_deformation(man):
    larger = sitk.ScaleTransform(3, (1.1, 1.1, 1.1))
    quality = measure(man, man, larger)
    # Green strain of a length that grows by a tenth: (1.21 - 1) / 2 along each axis.
    assert quality["strain"] == pytest.approx(0.105 * np.sqrt(3.0), abs=1e-3)
    assert quality["bone_strain"] == pytest.approx(0.105 * np.sqrt(3.0), abs=1e-3)
    assert quality["deformation_mm"] == pytest.approx(0.0, abs=1e-6)


def test_overlap_of_bone_is_told_for_each_third(man):
    array = sitk.GetArrayFromImage(man.values)
    half = array.shape[0] // 2
    array[half:] = np.minimum(array[half:], 0.3)  # no bone in the upper half
    boneless = sitk.GetImageFromArray(array)
    boneless.CopyInformation(man.values)
    quality = measure(man, Prepared(boneless, man.body, "CT"), sitk.AffineTransform(3))
    assert quality["bone_overlap_lower"] == pytest.approx(1.0)
    assert quality["bone_overlap_upper"] == 0.0
    assert 0.3 < quality["bone_overlap_middle"] < 0.9


def test_the_gravest_finding_makes_the_verdict():
    def verdict(**changes: float) -> str:
        return _judge({**GOOD, **changes}, "CT")[0]

    assert verdict() == "good"
    assert verdict(similarity=0.65) == "doubtful"
    assert verdict(similarity=0.5) == "poor"
    assert verdict(rotation_deg=20.0) == "doubtful"
    assert verdict(overlap=0.5) == "good"
    assert verdict(overlap=0.1) == "doubtful"
    assert verdict(strain=0.2) == "good"  # a man who lies very differently
    assert verdict(linear_similarity=0.5) == "good"  # a bend that needed no stretching
    assert verdict(strain=0.2, linear_similarity=0.7) == "doubtful"
    assert verdict(strain=0.12, linear_similarity=0.6) == "poor"
    assert verdict(strain=0.4) == "poor"


def test_another_man_is_named_as_the_reason():
    _, reasons, _ = (*_judge({**GOOD, "strain": 0.13, "linear_similarity": 0.6}, "CT"), None)
    assert "lengths by 13 %" in reasons[0]
    assert "another patient" in reasons[0]


def test_another_man_is_poor_even_when_he_was_reshaped_to_fit(man):
    torch = pytest.importorskip("torch", reason="the lattice registration needs torch")
    assert torch is not None
    from PSMATrackingLib.lattice import Lattice
    from PSMATrackingLib.registration_method import Hints

    def shorter_and_slimmer(points: Array) -> Array:
        return body_hu((points - [0, 0, 350]) / [0.85, 0.9, 0.8] + [0, 0, 350])

    other = prepare_ct(image_of(shorter_and_slimmer, HERE, LOW, HIGH), "CT")
    found = Lattice().find(man, other, lambda fraction, message: None, Hints(initial=HERE))
    verdict, reasons, quality = rate(man, other, found.transform)
    assert quality["similarity"] > quality["linear_similarity"] + 0.1
    assert verdict == "poor"
    assert "another patient" in reasons[0]
