"""Groups of a score: compiled or not, the bytes are those of sums in the order of the rows."""

from __future__ import annotations

import numpy as np
import pytest

from causalrec.inference import Estimate, _grouped
from causalrec.scores import Score, group_scores

N = 900


def _score(columns: int, denominator: str) -> Score:
    rng = np.random.default_rng(columns)
    numerator = rng.normal(size=(N, columns))
    if denominator == "one":
        return Score(numerator)
    weights = rng.gamma(1.0, size=(N, columns)) * (rng.random((N, columns)) < 0.8)
    if denominator == "weights":
        return Score(numerator, weights)
    return Score(numerator, weights[:, :1], weight=rng.gamma(2.0, size=(N, 1)))


def _estimate(score: Score, codes: type, distinct: bool, sampled: tuple[str, ...]) -> Estimate:
    rng = np.random.default_rng(7)
    cells = rng.choice(2_400, N, replace=not distinct)
    users, items = np.divmod(cells, 40)
    groups = rng.integers(-1, 3, N).astype(codes)
    clusters = {"user": users.astype(codes), "item": items.astype(np.int64)}
    return Estimate.from_score(
        score, clusters, groups=groups, n_groups=4, sampled=sampled, one_row_per_cell=distinct
    )


@pytest.mark.parametrize("sampled", [("user", "item"), ("item",)])
@pytest.mark.parametrize("distinct", [True, False])
@pytest.mark.parametrize("codes", [np.int32, np.int64])
@pytest.mark.parametrize("denominator", ["one", "weights", "shared"])
@pytest.mark.parametrize("columns", [1, 2])
def test_compiled_passes_give_the_same_bytes(
    columns: int,
    denominator: str,
    codes: type,
    distinct: bool,
    sampled: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []
    for rows in (0, N + 1):  # compiled, and not
        monkeypatch.setattr(_grouped, "WORTH_COMPILING", rows)
        monkeypatch.setattr(_grouped, "WORTH_LOADING", rows)
        estimate = _estimate(_score(columns, denominator), codes, distinct, sampled)
        shares = [estimate.influence.shares[name] for name in sampled]
        sizes = estimate.n, estimate.effective_sample_size, estimate.degrees_of_freedom
        parts = estimate.value, estimate.covariance, *sizes, *shares
        found.append([part.tobytes() for part in parts])
    assert found[0] == found[1]


@pytest.mark.parametrize("distinct", [True, False])
def test_groups_are_the_columns_of_a_spread_score(distinct: bool) -> None:
    score = _score(2, "weights")
    rng = np.random.default_rng(7)
    users, items = np.divmod(rng.choice(2_400, N, replace=not distinct), 40)
    groups = rng.integers(-1, 3, N)
    spread = Estimate.from_score(group_scores(score, groups, 4), {"user": users, "item": items})
    found = _estimate(score, np.int64, distinct, ("user", "item"))
    np.testing.assert_allclose(found.value, spread.value, rtol=1e-12)
    np.testing.assert_allclose(found.covariance, spread.covariance, rtol=1e-12, atol=1e-18)


def test_a_small_log_does_not_load_the_compiler() -> None:
    assert _grouped._kernels(99_999) is None
