"""Standard errors against a naive double loop, and the laws of the algebra as properties."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalrec.errors import DataError, ResultError, StudyError
from causalrec.inference import Estimate, benjamini_hochberg, holm
from causalrec.scores import Score, group_scores


def random_rows(seed: int, n: int = 200, q: int = 2, m_users: int = 12, n_items: int = 9):
    """Rows with repeated cells, unequal clusters and a ratio in every column."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, m_users, n), rng.integers(0, n_items, n)
    users[:m_users], items[:n_items] = np.arange(m_users), np.arange(n_items)
    numerator = rng.normal(size=(n, q)) + rng.normal(size=m_users)[users][:, None]
    score = Score(numerator, rng.uniform(0.2, 2.0, size=(n, q)))
    return score, {"user": users, "item": items}


def looped_covariance(score: Score, clusters: dict[str, np.ndarray], sampled) -> np.ndarray:
    """Inclusion and exclusion over dimensions with dictionaries: slow, and plainly right."""
    q = score.numerator.shape[1]
    total = np.zeros((q, q))
    for size in range(1, len(sampled) + 1):
        for dims in combinations(sampled, size):
            sums = defaultdict(lambda: np.zeros(q))
            for row in range(len(score.numerator)):
                key = tuple(int(clusters[d][row]) for d in dims)
                sums[key] = sums[key] + score.influence[row]
            for vector in sums.values():
                total += (-1) ** (size + 1) * np.outer(vector, vector)
    return total


@pytest.mark.parametrize("sampled", [("user",), ("item",), ("user", "item")])
@pytest.mark.parametrize("seed", [0, 1])
def test_covariance_equals_the_naive_double_loop(sampled, seed):
    score, clusters = random_rows(seed)
    found = Estimate.from_score(score, clusters, sampled=sampled)
    np.testing.assert_allclose(found.value, score.value)
    np.testing.assert_allclose(
        found.covariance, looped_covariance(score, clusters, sampled), rtol=1e-10, atol=1e-16
    )


def test_three_dimensions_equal_the_naive_loop():
    rng = np.random.default_rng(4)
    score, clusters = random_rows(4, n=600, m_users=30, n_items=25)
    clusters["slate"] = rng.integers(0, 40, 600)
    wave = rng.normal(size=40)[clusters["slate"]][:, None]
    score = Score(score.numerator + wave, score.denominator)
    dims = ("user", "item", "slate")
    found = Estimate.from_score(score, clusters)
    assert found.sampled == dims
    np.testing.assert_allclose(found.covariance, looped_covariance(score, clusters, dims))


def test_grouped_rows_equal_spread_columns():
    score, clusters = random_rows(7, n=400)
    rng = np.random.default_rng(0)
    by_user = rng.integers(-1, 3, 12)[clusters["user"]]
    by_row = rng.integers(-1, 3, 400)
    for groups in (by_user, by_row):
        spread = Estimate.from_score(group_scores(score, groups, 3), clusters)
        compact = Estimate.from_score(score, clusters, groups=groups, n_groups=3)
        for name in ("value", "covariance", "n", "effective_sample_size", "degrees_of_freedom"):
            np.testing.assert_allclose(
                getattr(compact, name), getattr(spread, name), rtol=1e-10, atol=1e-16
            )
        both = Estimate.stack([spread, compact], labels=[f"{k}" for k in range(12)])
        np.testing.assert_allclose(both.covariance[:6, 6:], spread.covariance, atol=1e-12)


# ---------------------------------------------------------------------- laws

seeds = st.integers(0, 2**20)
laws = settings(max_examples=25, deadline=None)


def assert_same(left: Estimate, right: Estimate, *, exact: bool = True) -> None:
    rtol = 0.0 if exact else 1e-9
    np.testing.assert_allclose(left.value, right.value, rtol=rtol, atol=0 if exact else 1e-12)
    np.testing.assert_allclose(
        left.covariance, right.covariance, rtol=rtol, atol=0 if exact else 1e-14
    )
    np.testing.assert_allclose(left.degrees_of_freedom, right.degrees_of_freedom, rtol=1e-9)
    np.testing.assert_array_equal(left.n, right.n)


@laws
@given(seeds)
def test_doubling_and_halving_are_exact(seed):
    e = Estimate.from_score(*random_rows(seed))
    assert_same((e + e) / 2, e)
    assert_same(e + e, 2 * e)
    assert_same(0.0 - (0.0 - e), e)
    assert_same(e - (-e), e * 2)


@laws
@given(seeds)
def test_an_estimate_minus_itself_is_zero_and_certain(seed):
    e = Estimate.from_score(*random_rows(seed))
    gap = e - e
    assert not gap.value.any()
    assert not gap.covariance.any()
    assert gap.p_value().tolist() == [1.0, 1.0]
    again = Estimate.from_score(*random_rows(seed))  # computed twice: zero up to rounding
    assert np.all((e - again).standard_error <= 1e-7 * e.standard_error)


@laws
@given(seeds)
def test_order_of_rows_and_names_of_clusters_change_nothing(seed):
    score, clusters = random_rows(seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(score.numerator))
    rename = {name: rng.permutation(50) for name in clusters}
    moved = Estimate.from_score(
        Score(score.numerator[order], score.denominator[order]),
        {name: rename[name][codes[order]] for name, codes in clusters.items()},
    )
    assert_same(moved, Estimate.from_score(score, clusters), exact=False)


@laws
@given(seeds)
def test_splitting_a_row_within_its_cell_changes_nothing_but_n(seed):
    score, clusters = random_rows(seed)
    part = np.random.default_rng(seed).uniform(size=(len(score.numerator), 1))
    split = Score(
        np.vstack([score.numerator * part, score.numerator * (1 - part)]),
        np.vstack([score.denominator * part, score.denominator * (1 - part)]),
    )
    doubled = {name: np.tile(codes, 2) for name, codes in clusters.items()}
    left, right = Estimate.from_score(split, doubled), Estimate.from_score(score, clusters)
    np.testing.assert_allclose(left.covariance, right.covariance, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(left.interval(), right.interval(), rtol=1e-9)


@laws
@given(seeds)
def test_a_contrast_of_contrasts_is_the_contrast_of_the_product(seed):
    e = Estimate.from_score(*random_rows(seed, q=3))
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, 3)), rng.normal(size=(2, 2))
    assert_same(e.contrast(first).contrast(second), e.contrast(second @ first), exact=False)


@laws
@given(seeds)
def test_stacking_gives_the_covariance_of_one_joint_score(seed):
    score, clusters = random_rows(seed, q=3)
    joint = Estimate.from_score(score, clusters, labels=["a", "b", "c"])
    one = Estimate.from_score(
        Score(score.numerator[:, :1], score.denominator[:, :1]), clusters, ["a"]
    )
    two = Estimate.from_score(
        Score(score.numerator[:, 1:], score.denominator[:, 1:]), clusters, ["b", "c"]
    )
    stacked = Estimate.stack([one, two])
    assert stacked.labels == ("a", "b", "c")
    assert_same(stacked, joint, exact=False)
    assert_same(one - two["c"], joint.difference("a", "c"), exact=False)
    # A stack is taken apart again when it meets its own parts.
    assert not (stacked["a"] - one).covariance.any()


@laws
@given(seeds)
def test_the_diagonal_of_the_covariance_is_each_labels_own_variance(seed):
    """Few clusters and no cluster effects: the combination often is not positive."""
    rng = np.random.default_rng(seed)
    n = 30
    clusters = {"user": rng.integers(0, 6, n), "item": rng.integers(0, 6, n)}
    e = Estimate.from_score(Score(rng.normal(size=(n, 4))), clusters)
    alone = [e[label].standard_error[0] for label in e.labels]
    np.testing.assert_allclose(e.standard_error, alone, rtol=1e-9)
    assert np.all(e.standard_error > 0)
    assert np.linalg.eigvalsh(e.covariance).min() > -1e-12


def test_a_negative_combination_falls_back_to_the_larger_one_way_term():
    # A Latin pattern whose rows and columns sum to nearly nothing: user + item - cell < 0.
    users, items = np.divmod(np.arange(36), 6)
    wave = np.where((users + items) % 2 == 0, 1.0, -1.0) + 0.01 * users
    e = Estimate.from_score(Score(wave), {"user": users, "item": items})
    one_way = [
        Estimate.from_score(Score(wave), {d: c}).covariance[0, 0]
        for d, c in (("user", users), ("item", items))
    ]
    assert e.covariance[0, 0] == pytest.approx(max(one_way))


# ---------------------------------------------------------------------- readings


@pytest.fixture(scope="module")
def crossed() -> Estimate:
    rng = np.random.default_rng(11)
    users, items = np.divmod(np.arange(60 * 40), 40)
    y = 5 + rng.normal(size=60)[users] + rng.normal(size=40)[items] + rng.normal(size=2400)
    score = Score(y)
    return Estimate.from_score(
        score, {"user": users, "item": items}, ["f", "m", "x"], groups=users % 3
    )


def test_one_dimension_of_equal_clusters_gives_students_interval():
    from scipy import stats

    y = np.random.default_rng(0).normal(size=9)
    e = Estimate.from_score(Score(y), {"user": np.arange(9)})
    low, high = stats.t.interval(0.95, 8, loc=y.mean(), scale=stats.sem(y))
    np.testing.assert_allclose(e.interval()[0], [low, high])
    assert e.p_value()[0] == pytest.approx(stats.ttest_1samp(y, 0.0).pvalue)
    assert e.effective_clusters["user"][0] == pytest.approx(9)


def test_a_contrast_counts_the_clusters_of_its_smaller_group():
    providers = np.arange(48).repeat(10)
    rng = np.random.default_rng(0)
    y = rng.normal(size=48)[providers] + rng.normal(size=480)
    e = Estimate.from_score(
        Score(y), {"provider": providers}, ["small", "big"], groups=(providers >= 8).astype(int)
    )
    gap = e.difference("small", "big")
    assert gap.clusters_by_label["provider"].tolist() == [8]
    assert gap.clusters == {"provider": 48}
    by_hand = (1 / 8 + 1 / 40) ** 2 / (1 / 8**3 + 1 / 40**3)
    assert gap.effective_clusters["provider"][0] == pytest.approx(by_hand)  # 11.2
    assert gap.n.tolist() == [80]


def test_ratio_has_a_log_scale_interval_that_inverts(crossed):
    ratio, inverse = crossed.ratio("f", "m"), crossed.ratio("m", "f")
    assert ratio.labels == ("f / m",)
    assert float(ratio) == pytest.approx(1 / float(inverse))
    np.testing.assert_allclose(ratio.interval()[0], 1 / inverse.interval()[0][::-1])
    np.testing.assert_allclose(ratio.p_value(), inverse.p_value())
    # The delta method by finite differences of the two cluster means.
    f, m = crossed["f"].value[0], crossed["m"].value[0]
    gradient = np.array([1 / m, -f / m**2])
    cov = crossed[["f", "m"]].covariance
    assert ratio.standard_error[0] == pytest.approx(np.sqrt(gradient @ cov @ gradient))


def test_a_ratio_that_is_not_positive_has_no_interval():
    users = np.arange(40)
    e = Estimate.from_score(Score(np.column_stack([-np.ones(40), users])), {"user": users})
    ratio = e.ratio("estimate 0", "estimate 1")
    assert ratio.status == ("not_estimable",)
    assert np.isnan(ratio.interval()).all()


def test_simultaneous_bands_lie_between_pointwise_and_bonferroni(crossed):
    point, joint = crossed.interval(), crossed.simultaneous_interval()
    bonferroni = crossed.interval(1 - 0.05 / 3)
    width = [np.diff(found, axis=1) for found in (point, joint, bonferroni)]
    assert (width[0] < width[1]).all()
    assert (width[1] <= width[2] * 1.0000001).all()
    np.testing.assert_array_equal(joint, crossed.simultaneous_interval())
    one = crossed["f"]
    np.testing.assert_allclose(one.simultaneous_interval(), one.interval(), rtol=0.02)


def test_multiplicity_by_hand():
    np.testing.assert_allclose(holm([0.01, np.nan, 0.02, 0.9]), [0.03, np.nan, 0.04, 0.9])
    np.testing.assert_allclose(benjamini_hochberg([0.01, 0.02, 0.9]), [0.03, 0.03, 0.9])


def test_multiplicity_methods_are_named(crossed):
    np.testing.assert_allclose(crossed.correct_for_multiplicity("holm"), holm(crossed.p_value()))
    with pytest.raises(StudyError, match='Use "holm"'):
        crossed.correct_for_multiplicity("holmes")  # type: ignore[arg-type]


def test_statuses():
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(44), 5)
    group = np.select([users < 3, users < 4, users < 9], [0, -1, 1], 2)
    weight = np.where(users == 5, 50.0, 1.0)
    e = Estimate.from_score(
        Score(rng.normal(size=220) * weight, weight), {"user": users},
        ["three", "skewed", "fine", "empty"], groups=group, n_groups=4,
    )  # fmt: skip
    assert e.status == ("not_estimable", "low_support", "ok", "not_estimable")
    interval = e.interval()
    assert np.isnan(interval[[0, 3]]).all()
    assert np.isfinite(interval[1:3]).all()
    assert np.isnan(e.value[3])
    assert e.n.tolist() == [15, 25, 175, 0]
    p = e.p_value()
    assert p[0] in {2 / 8, 4 / 8, 6 / 8, 1.0}, "three clusters flip in eight ways"
    assert np.isnan(p[3])
    marked = e.mark({"fine": "suppressed"})
    assert marked.status[2] == "suppressed"
    assert np.isnan(marked.interval()[2]).all()
    assert np.isnan(marked.p_value()[2])
    assert np.isfinite(e.contrast({"three": 1.0, "fine": -1.0}).value[0]), "empty is not in it"


def test_few_providers_are_tested_by_exchanging_labels():
    providers = np.repeat(np.arange(20), 10)
    y = np.where(providers < 3, 10.0, 0.0) + 0.01 * providers
    e = Estimate.from_score(
        Score(y), {"provider": providers}, ["a", "b"], groups=(providers >= 3).astype(int)
    )
    gap = e.difference("a", "b")
    assert gap.status == ("not_estimable",)
    assert gap.p_value()[0] == pytest.approx(1 / 1140), "the most extreme of C(20, 3) labellings"


def test_permutation_p_is_right_under_the_null():
    rng = np.random.default_rng(3)
    p = np.empty(400)
    for k in range(400):
        y = rng.normal(size=4)[np.arange(40) % 4] + rng.normal(size=40)
        p[k] = Estimate.from_score(Score(y), {"user": np.arange(40) % 4}).p_value()[0]
    # P(p <= 1/8) = 1/8 exactly: 50 of 400, sd 6.6; three of them.
    assert 30 <= (p <= 1 / 8).sum() <= 70


def test_effective_sample_size_is_kishs():
    weight = np.array([1.0, 1.0, 4.0, 0.0])
    e = Estimate.from_score(Score(weight, weight), {"user": np.arange(4)})
    assert e.effective_sample_size[0] == pytest.approx(36 / 18)
    assert e.n.tolist() == [3]


def test_design_based_error_needs_what_was_random():
    users = np.arange(30)
    with pytest.raises(DataError, match="with_design_residual"):
        Estimate.from_score(Score(np.ones(30)), {"user": users}, sampled=())
    residual = np.random.default_rng(0).normal(size=30)
    e = Estimate.from_score(Score(np.ones(30)).with_design_residual(residual), {}, sampled=())
    assert e.standard_error[0] == pytest.approx(np.sqrt(np.square(residual).sum()) / 30)
    assert np.isinf(e.degrees_of_freedom[0])
    grouped = Estimate.from_score(
        Score(np.ones(30)).with_design_residual(residual), {}, sampled=(), groups=users % 2
    )
    expected = [np.sqrt(np.square(residual[k::2]).sum()) / 15 for k in (0, 1)]
    np.testing.assert_allclose(grouped.standard_error, expected)


def test_arithmetic_with_numbers_and_labels(crossed):
    shifted = crossed["f"] - 5.0
    assert float(shifted) == pytest.approx(float(crossed["f"]) - 5.0)
    assert shifted.standard_error[0] == crossed["f"].standard_error[0]
    assert float(5.0 - crossed["f"]) == pytest.approx(-float(shifted))
    assert (crossed - crossed["f"]).labels == ("f - f", "m - f", "x - f")
    assert crossed.contrast({"f": 1, "m": -1}).labels == ("contrast",)
    assert crossed.relabel("abc").labels == ("a", "b", "c")
    assert crossed.describe(population="everybody").population == "everybody"


def test_operands_on_other_rows_or_clusters_are_refused(crossed):
    score, clusters = random_rows(0)
    e = Estimate.from_score(score, clusters)
    moved = {**clusters, "user": clusters["user"][::-1].copy()}
    with pytest.raises(ResultError, match=r"other rows or clusters: their 'user' codes differ"):
        e + Estimate.from_score(score, moved)
    with pytest.raises(ResultError, match="other rows or clusters"):
        e - crossed
    with pytest.raises(ResultError, match="treat different things as sampled"):
        e - Estimate.from_score(score, clusters, sampled=("user",))
    with pytest.raises(ResultError, match="not distinct"):
        Estimate.stack([e, e])
    with pytest.raises(ResultError, match="scales differ"):
        Estimate.stack([e, e.ratio("estimate 0", "estimate 1")])


def test_other_refusals_say_what_to_do(crossed):
    score, clusters = random_rows(0)
    with pytest.raises(DataError, match=r"Did you mean 'user'"):
        Estimate.from_score(score, clusters, sampled=("users",))
    with pytest.raises(DataError, match=r"pandas.factorize"):
        Estimate.from_score(score, {"user": clusters["user"].astype(str)})
    with pytest.raises(DataError, match=r"negative cluster code in 1 of 200 rows"):
        Estimate.from_score(score, {"user": np.r_[-1, clusters["user"][1:]]})
    with pytest.raises(DataError, match=r"the score has 200 rows"):
        Estimate.from_score(score, {"user": clusters["user"][1:]})
    with pytest.raises(DataError, match=r"names a dimension twice"):
        Estimate.from_score(score, clusters, sampled=("user", "user"))
    with pytest.raises(DataError, match=r"as many distinct labels"):
        Estimate.from_score(score, clusters, labels=["a"])
    with pytest.raises(DataError, match=r"Did you mean 0.95"):
        crossed.interval(95)
    with pytest.raises(ResultError, match=r"has 3 labels"):
        float(crossed)
    with pytest.raises(ResultError, match=r"no label 'g'"):
        crossed["g"]
    with pytest.raises(DataError, match=r"contrast has 2 columns"):
        crossed.contrast([1.0, -1.0])
    with pytest.raises(ResultError, match=r"use ratio"):
        crossed / crossed  # type: ignore[operator]
