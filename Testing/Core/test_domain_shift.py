"""Groups of scans among their embeddings: figures checked by hand, against chance, and with men kept together."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PSMASegmentLib.evaluation.domain_shift import COMPONENTS, scan_map, separation, silhouette
from scipy.spatial.distance import cdist


def scans(shift: float, count: int = 16, seed: int = 2) -> tuple[np.ndarray, list[str], list[str]]:
    """Embeddings of two groups whose first values differ by so many standard deviations, groups and men."""
    values = np.random.default_rng(seed).normal(size=(count, 12))
    groups = ["a" if number % 2 else "b" for number in range(count)]
    values[::2, :4] += shift
    return values, groups, [str(number) for number in range(count)]


def test_groups_far_apart_are_told_and_others_are_not() -> None:
    values, groups, men = scans(4.0)
    apart = separation(scan_map(values), groups, men, permutations=99)
    assert apart.groups == {"a": 8, "b": 8} and apart.men == 16 and apart.permuted == "men"
    assert apart.auc == 1.0 and apart.auc_p <= 0.05  # folds of few scans reach 1 by chance, too
    assert apart.silhouette > 0.2 and apart.silhouette_p == pytest.approx(0.01)
    assert apart.pairs == {("a", "b"): 1.0}
    values, groups, men = scans(0.0, seed=5)
    mixed = separation(scan_map(values), groups, men, permutations=99)
    assert abs(mixed.silhouette) < 0.1 and mixed.silhouette_p > 0.05
    assert mixed.auc < 0.85 and mixed.auc_p > 0.05


def test_without_a_shift_p_is_small_no_more_often_than_it_says() -> None:
    small = np.zeros(2)
    for seed in range(30):
        values, groups, men = scans(0.0, 12, seed)
        mixed = separation(scan_map(values), groups, men, permutations=19)
        small += [mixed.auc_p <= 0.1, mixed.silhouette_p <= 0.1]
    assert (small <= 9).all()  # 3 are expected; more than 9 come once in 1,000 times


def test_equal_arguments_give_equal_figures_and_the_order_of_pairs_is_by_name() -> None:
    values, _, men = scans(1.0, 18)
    groups = [("z", "m", "a")[number % 3] for number in range(18)]
    first, second = (separation(scan_map(values), groups, men, seed=7, permutations=19) for _ in range(2))
    assert first == second
    assert list(first.pairs) == [("a", "m"), ("a", "z"), ("m", "z")]
    assert first.auc == pytest.approx(np.mean(list(first.pairs.values())))


def test_scans_of_one_man_do_not_help_to_tell_his_group() -> None:
    """Each man looks like himself and no group like anything: without keeping men together the AUC would be 1."""
    rng = np.random.default_rng(3)
    own = rng.normal(size=(10, 12))
    values = np.repeat(own, 4, axis=0) + 0.01 * rng.normal(size=(40, 12))
    men = np.repeat([str(k) for k in range(10)], 4).tolist()
    groups = np.repeat(["a", "b"] * 5, 4).tolist()
    together = separation(scan_map(values), groups, men, permutations=99)
    alone = separation(scan_map(values), groups, [str(k) for k in range(40)], permutations=9)
    assert alone.auc > 0.9
    assert together.auc < alone.auc and together.auc_p > 0.05 and together.silhouette_p > 0.05


def test_men_in_several_groups_have_their_scans_permuted() -> None:
    values, groups, _ = scans(4.0)
    men = [str(number // 2) for number in range(16)]  # each has a scan in each group
    apart = separation(scan_map(values), groups, men, permutations=49)
    assert (
        apart.permuted == "scans" and apart.men == 8 and apart.auc == 1.0 and apart.silhouette_p == pytest.approx(0.02)
    )


def test_silhouette_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(8)
    points, codes = rng.normal(size=(15, 3)), rng.permutation(np.repeat([0, 1, 2], (9, 5, 1)))
    expected = []
    for one in range(15):
        distance = {
            code: np.mean([np.linalg.norm(points[one] - points[k]) for k in range(15) if codes[k] == code and k != one])
            for code in range(3)
            if ((codes == code) & (np.arange(15) != one)).any()
        }
        if codes[one] == 2:
            expected.append(0.0)  # the only one of its group
            continue
        within = distance.pop(int(codes[one]))
        between = min(distance.values())
        expected.append((between - within) / max(between, within))
    assert silhouette(cdist(points, points), codes) == pytest.approx(np.mean(expected))


def test_map_keeps_distances_and_names_the_variance() -> None:
    rng = np.random.default_rng(1)
    plane = rng.normal(size=(20, 2)) @ rng.normal(size=(2, 6))
    found = scan_map(np.column_stack([plane, np.full(20, 3.0)]))  # what never varies does not count
    assert sum(found.explained) == pytest.approx(1.0) and found.explained[0] > found.explained[1]
    standard = (plane - plane.mean(axis=0)) / plane.std(axis=0)
    for first, second in itertools.combinations(range(20), 2):
        far = np.linalg.norm(standard[first] - standard[second])
        assert np.linalg.norm(found.points[first] - found.points[second]) == pytest.approx(far)
    assert found.components.shape == (20, 2)
    assert scan_map(rng.normal(size=(40, 30))).components.shape == (40, COMPONENTS)


@pytest.mark.parametrize(
    ("groups", "men", "match"),
    [
        (["a"] * 6, list("123456"), "at least two groups"),
        (["a", "a", "a", "b", "b", "b"], list("123444"), "'b' has scans of one man"),
        (["a", "b"], list("123456"), "6 scans, but 2 groups"),
    ],
)
def test_groups_that_cannot_be_compared_are_refused(groups: list[str], men: list[str], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        separation(scan_map(np.random.default_rng(0).normal(size=(6, 4))), groups, men)


def test_embeddings_that_say_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="three scans"):
        scan_map(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="not finite"):
        scan_map([[0.0, 1.0], [1.0, np.inf], [2.0, 0.0]])
    with pytest.raises(ValueError, match="same embedding"):
        scan_map(np.ones((5, 3)))
