"""The kernels against per-row least squares, and the compiled ones against scipy's."""

from __future__ import annotations

import numpy as np
import pytest

from causalrec.factorization import _kernels, _numba_kernels, _numba_sgd
from causalrec.factorization._common import (
    Pattern,
    dot_rows,
    has_converged,
    random_start,
    row_ridge,
)
from causalrec.factorization._ranking import top_k

TOLERANCE = {"float64": 1e-10, "float32": 1e-5}
KERNELS = {"scipy": _kernels.SCIPY, "numba": _numba_kernels.kernels()}


def _problem(dtype: str, seed: int = 0, n_users: int = 40, n_items: int = 30, d: int = 5):
    rng = np.random.default_rng(seed)
    cells = np.flatnonzero(rng.random(n_users * n_items) < 0.3)
    users, items = (cells // n_items).astype(np.int32), (cells % n_items).astype(np.int32)
    users[users == 7] = 8  # user 7 has no cells; user 8 has some twice, which kernels allow
    pattern = Pattern(np.sort(users), items, n_users, n_items)
    weights = rng.gamma(2.0, 0.5, pattern.n).astype(dtype)
    targets = rng.normal(size=pattern.n).astype(dtype)
    design = rng.normal(size=(n_items, d)).astype(dtype)
    return pattern, weights, targets, design, rng.uniform(0.5, 4.0, n_users)


def _by_least_squares(pattern, weights, targets, design, ridge):
    """Each row as an ordinary least-squares problem with the ridge as further rows."""
    d = design.shape[1]
    rows = []
    for u in range(pattern.n_users):
        part = slice(pattern.user_pointer[u], pattern.user_pointer[u + 1])
        root = np.sqrt(weights[part].astype(float))
        matrix = np.vstack(
            [root[:, None] * design[pattern.items[part]], np.sqrt(ridge[u]) * np.eye(d)]
        )
        aim = np.concatenate([root * targets[part], np.zeros(d)])
        rows.append(np.linalg.lstsq(matrix, aim, rcond=None)[0])
    return np.array(rows)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kernel", sorted(KERNELS))
@pytest.mark.parametrize(
    ("d", "ones"), [(5, False), (1, True), (17, True), (33, True), (40, False)]
)
def test_half_sweep_solves_each_rows_least_squares(
    kernel: str, dtype: str, d: int, ones: bool
) -> None:
    pattern, weights, targets, design, ridge = _problem(dtype, d=d)
    if ones:  # the column of a bias, which the compiled kernel does not multiply
        design[:, -1] = 1.0
    offset = np.linspace(-1.0, 1.0, len(design)).astype(dtype)
    found = KERNELS[kernel].weighted_half_sweep(
        pattern.user_pointer, pattern.items, weights, targets, design, ridge, offset
    )
    targets = targets - offset[pattern.items]
    expected = _by_least_squares(pattern, weights, targets, design, ridge)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, atol=TOLERANCE[dtype])
    assert not found[7].any()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_both_kernels_agree_on_rows_longer_than_a_gather(dtype: str) -> None:
    pattern, weights, targets, design, ridge = _problem(dtype, 1, n_users=6, n_items=4_000)
    arguments = pattern.user_pointer, pattern.items, weights, targets, design, ridge
    found = [kernel.weighted_half_sweep(*arguments) for kernel in KERNELS.values()]
    np.testing.assert_allclose(found[0], found[1], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("d", [4, 30])
def test_rows_of_every_length_are_solved_in_batches(
    d: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_kernels, "_BATCH_ROWS", 7)
    monkeypatch.setattr(_kernels, "_BATCH_ENTRIES", 90)
    rng = np.random.default_rng(3)
    counts = rng.permutation(np.arange(60))  # 0 to 59 entries, some more than the unknowns
    users = np.repeat(np.arange(60), counts).astype(np.int32)
    items = rng.integers(0, 50, len(users)).astype(np.int32)
    pattern, design = Pattern(users, items, 60, 50), rng.normal(size=(50, d))
    weights, targets = rng.gamma(2.0, 0.5, len(users)), rng.normal(size=len(users))
    weights[rng.random(len(users)) < 0.1] = 0.0
    ridge = rng.uniform(0.5, 4.0, 60)
    arguments = pattern.user_pointer, pattern.items, weights, targets, design, ridge
    found = _kernels.weighted_half_sweep(*arguments)
    expected = _by_least_squares(pattern, weights, targets, design, ridge)
    np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_threads_change_no_byte(dtype: str) -> None:
    pattern, weights, targets, design, ridge = _problem(dtype, 2, n_users=5_000, n_items=12)
    cells = pattern.user_pointer, pattern.items, weights
    one, two = _numba_kernels.kernels(1), _numba_kernels.kernels(2)
    solved = one.weighted_half_sweep(*cells, targets, design, ridge)
    again = two.weighted_half_sweep(*cells, targets, design, ridge)
    assert solved.tobytes() == again.tobytes()
    product = one.sparse_times_dense(*cells, design)
    assert product.tobytes() == two.sparse_times_dense(*cells, design).tobytes()
    levels = np.zeros(len(design), dtype), np.zeros(len(solved), dtype)
    sums = [kernel.residual_sums(*cells, targets, design, solved, *levels) for kernel in (one, two)]
    assert sums[0] == sums[1]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("d", [0, 1, 16, 33])
@pytest.mark.parametrize("worth_scipy", [0, 20_000])
def test_products_and_residuals_agree_with_dense_algebra(
    dtype: str, d: int, worth_scipy: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_kernels, "WORTH_SCIPY", worth_scipy)
    pattern, weights, targets, design, _ = _problem(dtype, 6, d=d)
    rng = np.random.default_rng(7)
    solved, level = rng.normal(size=(40, d)).astype(dtype), rng.normal(size=40).astype(dtype)
    offset = rng.normal(size=30).astype(dtype)
    dense = np.zeros((40, 30))
    np.add.at(dense, (pattern.users, pattern.items), weights)
    residual = targets - level[pattern.users] - offset[pattern.items]
    residual = residual - (solved.astype(float) @ design.T)[pattern.users, pattern.items]
    expected = (weights * residual).sum(), (weights * residual**2).sum()
    cells = pattern.user_pointer, pattern.items, weights
    for kernel in KERNELS.values():
        product = kernel.sparse_times_dense(*cells, design)
        assert product.dtype == dtype
        np.testing.assert_allclose(product, dense @ design, atol=TOLERANCE[dtype])
        sums = kernel.residual_sums(*cells, targets, design, solved, offset, level)
        # Single precision: some hundred terms, each with its rounding.
        np.testing.assert_allclose(sums, expected, rtol=10 * TOLERANCE[dtype])


@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_a_direction_without_data_or_ridge_stays_at_zero(kernel: str) -> None:
    pattern, weights, targets, design, _ = _problem("float64", 8, n_users=9, d=4)
    design[:, 2] = 0.0
    arguments = pattern.user_pointer, pattern.items, weights, targets, design
    found = KERNELS[kernel].weighted_half_sweep(*arguments, np.full(9, 1e-12))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:, 2], 0.0, atol=1e-6)


def test_shared_gram_solves_every_row_with_its_own_ridge() -> None:
    rng = np.random.default_rng(3)
    dense, design = rng.normal(size=(8, 20)), rng.normal(size=(20, 4))
    ridge = rng.uniform(0.1, 5.0, 8)
    found = _kernels.shared_gram_half_sweep(dense @ design, design, ridge)
    for row in range(8):
        gram = design.T @ design + ridge[row] * np.eye(4)
        np.testing.assert_allclose(found[row], np.linalg.solve(gram, design.T @ dense[row]))


def test_pattern_by_item_is_the_transpose() -> None:
    pattern, *_ = _problem("float64")
    dense = np.zeros((40, 30))
    np.add.at(dense, (pattern.users, pattern.items), 1.0)
    np.testing.assert_array_equal(np.diff(pattern.item_pointer), dense.sum(0))
    items = pattern.items[pattern.by_item]
    assert (np.diff(items) >= 0).all()


def test_count_ridge_spends_the_same_total() -> None:
    counts = np.array([1, 5, 0, 10])
    by_count = row_ridge(3.0, counts, "count")
    assert by_count.sum() == pytest.approx(row_ridge(3.0, counts, "uniform").sum())
    assert by_count[3] == pytest.approx(10 * by_count[0])


def test_start_does_not_depend_on_anything_but_the_seed() -> None:
    one = random_start(5, 4, 3, np.random.default_rng(9), "float32")
    two = random_start(5, 4, 3, np.random.default_rng(9), "float32")
    assert one.item_factors.tobytes() == two.item_factors.tobytes()
    assert one.n_factors == 3


def test_dot_rows_over_several_pieces() -> None:
    rng = np.random.default_rng(4)
    left, right = rng.normal(size=(50, 3)), rng.normal(size=(60, 3))
    users, items = rng.integers(0, 50, 150_000), rng.integers(0, 60, 150_000)
    np.testing.assert_allclose(
        dot_rows(left, right, users, items), (left @ right.T)[users, items], atol=1e-12
    )


def test_convergence_is_a_share_of_the_loss() -> None:
    assert not has_converged([1.0], 0.5)
    assert has_converged([1.0, 0.9999], 1e-3)
    assert not has_converged([1.0, 0.9], 1e-3)


@pytest.mark.parametrize("k", [1, 3, 12, 20])
def test_top_k_equals_a_full_sort_with_ties_to_the_lower_code(k: int) -> None:
    rng = np.random.default_rng(5)
    scores = rng.integers(0, 5, size=(30, 12)).astype(float)
    scores[rng.random(scores.shape) < 0.3] = -np.inf
    scores[4] = -np.inf
    rows, ranks, columns = top_k(scores, k)
    for row in range(30):
        expected = np.argsort(-scores[row], kind="stable")[:k]
        expected = expected[np.isfinite(scores[row, expected])]
        np.testing.assert_array_equal(columns[rows == row], expected)
        np.testing.assert_array_equal(ranks[rows == row], np.arange(len(expected)) + 1)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("k", [3, 16, 32, 40])
def test_a_sweep_of_sgd_is_the_update_it_says(dtype: str, k: int) -> None:
    rng = np.random.default_rng(4)
    n, m, rate, level = 200, 12, 0.05, 0.5
    codes = rng.integers(0, m, (n, 2)).astype(np.uint32)
    values = np.column_stack([rng.normal(size=n), rng.gamma(2.0, 1.0, n), rng.normal(size=n)])
    sides = [rng.normal(size=(m, k)) / np.sqrt(k) for _ in range(2)]
    beside = [np.column_stack([rng.normal(size=m), rng.random(m), np.zeros((m, 2))]) for _ in sides]
    for side, factors in zip(beside, sides, strict=True):
        side[:, 2] = (factors**2).sum(axis=1)
    padded = [_numba_kernels.padded(side.astype(dtype)) for side in sides]
    found = [side.astype(dtype) for side in beside]
    blocks = np.array([1, 0, 2])
    arguments = blocks, 80, codes, values.astype(dtype), *padded, *found, level, rate
    _numba_sgd.sgd_sweep(*arguments)
    order = np.concatenate([np.arange(80, 160), np.arange(80), np.arange(160, 200)])
    (left, right), (of_left, of_right) = sides, beside
    for (u, i), (target, w, pull) in zip(codes[order], values[order], strict=True):
        p, q = left[u].copy(), right[i].copy()
        step = rate / (1 + rate * (w * (2 + p @ p + q @ q) + abs(pull)))
        push = step * (w * (target - level - of_left[u, 0] - of_right[i, 0] - p @ q) + pull)
        keep, keep_item = 1 - step * of_left[u, 1], 1 - step * of_right[i, 1]
        left[u], right[i] = keep * p + push * q, keep_item * q + push * p
        of_left[u, 0], of_right[i, 0] = (
            keep * of_left[u, 0] + push,
            keep_item * of_right[i, 0] + push,
        )
    tolerance = 20 * TOLERANCE[dtype]
    for expected, reached, side, biases in zip(sides, padded, found, beside, strict=True):
        np.testing.assert_allclose(reached[:, :k], expected, atol=tolerance)
        assert not reached[:, k:].any()
        np.testing.assert_allclose(side[:, 0], biases[:, 0], atol=tolerance)
        np.testing.assert_allclose(side[:, 2], (expected**2).sum(axis=1), atol=tolerance)
