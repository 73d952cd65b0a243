"""The grid that is never built and the totals that are streamed, against the dense rows."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from causalrec.errors import DataError, ResultError
from causalrec.inference import CELLS, CellTotals, Estimate
from causalrec.scores import Score, group_scores

M, N_ITEMS, K = 40, 30, 3


class World:
    """A low-rank outcome model, a sparse residual and groups, some members in no group."""

    def __init__(self, seed: int, *, residual: bool = True) -> None:
        rng = np.random.default_rng(seed)
        self.left, self.right = rng.normal(size=(M, K)) + 1.0, rng.normal(size=(N_ITEMS, K))
        self.users, self.items = np.nonzero(rng.random((M, N_ITEMS)) < 0.3)
        self.weight = rng.uniform(1.0, 8.0, size=len(self.users))
        noise = rng.normal(size=len(self.users)) * self.weight
        self.residual = noise if residual else np.zeros(len(self.users))
        self.user_groups, self.item_groups = rng.integers(-1, 2, M), rng.integers(0, 3, N_ITEMS)
        self.dense = self.left @ self.right.T
        self.dense[self.users, self.items] += self.residual
        users, items = np.divmod(np.arange(M * N_ITEMS), N_ITEMS)
        self.clusters = {"user": users, "item": items}
        pair = self.user_groups[users] * 3 + self.item_groups[items]
        self.pair = np.where(self.user_groups[users] >= 0, pair, -1)

    def grid(self, **options) -> Estimate:
        return Estimate.from_grid(
            self.left, self.right, self.users, self.items, self.residual, **options
        )

    def grouped(self, **options) -> Estimate:
        return self.grid(user_groups=self.user_groups, item_groups=self.item_groups, **options)


def assert_alike(left: Estimate, right: Estimate) -> None:
    for name in ("value", "covariance", "degrees_of_freedom"):
        np.testing.assert_allclose(
            getattr(left, name), getattr(right, name), rtol=1e-10, atol=1e-16, err_msg=name
        )
    np.testing.assert_array_equal(left.n, right.n)
    assert left.clusters == right.clusters


@pytest.mark.parametrize("sampled", [("user", "item"), ("user",), ("item",)])
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_grid_equals_dense_rows(seed, residual, sampled):
    world = World(seed, residual=residual)
    whole = Estimate.from_score(Score(world.dense.ravel()), world.clusters, sampled=sampled)
    assert_alike(world.grid(sampled=sampled), whole)
    by_group = Estimate.from_score(
        Score(world.dense.ravel()), world.clusters, groups=world.pair, n_groups=6, sampled=sampled
    )
    assert_alike(world.grouped(sampled=sampled), by_group)


def test_grid_estimates_with_other_models_and_groups_stack_like_dense_ones():
    world, other = World(0), World(5)
    rng = np.random.default_rng(9)
    other.users, other.items = world.users, world.items  # the same observed cells
    other.residual = rng.normal(size=len(world.users))
    other.dense = other.left @ other.right.T
    other.dense[other.users, other.items] += other.residual
    stacked = Estimate.stack(
        [world.grouped(), other.grid(), other.grouped()], labels=[str(k) for k in range(13)]
    )
    columns = [
        group_scores(Score(world.dense.ravel()), world.pair, 6),
        Score(other.dense.ravel()),
        group_scores(Score(other.dense.ravel()), other.pair, 6),
    ]
    joint = Score(
        np.hstack([s.numerator for s in columns]), np.hstack([s.denominator for s in columns])
    )
    dense = Estimate.from_score(joint, world.clusters)
    np.testing.assert_allclose(stacked.covariance, dense.covariance, rtol=1e-9, atol=1e-14)
    with pytest.raises(ResultError, match="'user' codes differ"):
        world.grid() - World(5).grid()


def test_grid_with_design_residual():
    world = World(0)
    random = np.random.default_rng(1).normal(size=len(world.users))
    rows = np.zeros((M, N_ITEMS))
    rows[world.users, world.items] = random
    score = Score(world.dense.ravel()).with_design_residual(rows.ravel())
    dense = Estimate.from_score(score, {}, sampled=(), groups=world.pair, n_groups=6)
    np.testing.assert_allclose(
        world.grouped(sampled=(), design_residual=random).covariance, dense.covariance, atol=1e-18
    )
    with pytest.raises(DataError, match="design_residual="):
        world.grid(sampled=())


def test_grid_reports_kishs_effective_sample_size_of_its_weights():
    world = World(0)
    w = world.weight
    found = world.grid(weight=w).effective_sample_size[0]
    assert found == pytest.approx(w.sum() ** 2 / (w**2).sum())
    assert world.grid().effective_sample_size[0] == pytest.approx(len(w))


def test_grid_never_allocates_the_grid():
    m, n = 6_000, 4_000
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(m, 8)), rng.normal(size=(n, 8))
    users, items = rng.integers(0, m, 50_000), rng.integers(0, n, 50_000)
    residual = rng.normal(size=50_000)
    tracemalloc.start()
    Estimate.from_grid(left, right, users, items, residual).interval()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < m * n * 8 / 10, f"{peak / 1e6:.0f} MB"


def test_a_group_of_the_grid_without_members_has_no_value():
    world = World(0)
    found = world.grid(user_groups=np.where(world.user_groups > 0, 2, world.user_groups))
    assert np.isfinite(found.value).tolist() == [True, False, True]
    assert found.status == ("ok", "not_estimable", "ok")
    assert np.isfinite(found[["estimate 0", "estimate 2"]].covariance).all()


def test_grid_refusals():
    world = World(0)
    with pytest.raises(DataError, match="same k"):
        Estimate.from_grid(world.left, world.right[:, :2], world.users, world.items, world.residual)
    with pytest.raises(DataError, match="vectors of one length"):
        Estimate.from_grid(world.left, world.right, world.users, world.items, world.residual[1:])
    with pytest.raises(DataError, match="dimensions 'user' and 'item' only"):
        world.grid(sampled=("user", "slate"))
    with pytest.raises(DataError, match="outside the factors"):
        Estimate.from_grid(world.left[:5], world.right, world.users, world.items, world.residual)
    with pytest.raises(DataError, match="one group a user"):
        world.grid(user_groups=[0, 1])


# ---------------------------------------------------------------------- totals


def streamed(world: World, *, block: int = 16, **options) -> tuple[CellTotals, np.ndarray]:
    """Four columns: DR numerator (dense + sparse), all cells, SNIPS numerator, SNIPS weights."""
    totals = CellTotals(M, N_ITEMS, 4, **options)
    sparse = np.column_stack([world.residual, 0 * world.weight, world.weight * 2.0, world.weight])
    sparse[:, 2] *= world.dense[world.users, world.items]
    order = np.random.default_rng(0).permutation(len(sparse))
    for part in np.array_split(order, 3):
        totals.add_rows(world.users[part], world.items[part], sparse[part])
    smooth = np.zeros((M, N_ITEMS, 4))
    smooth[..., 0] = world.left @ world.right.T
    smooth[..., 1] = 1.0
    kept = smooth.copy()
    for start in range(0, M, block):
        totals.add(slice(start, start + block), smooth[start : start + block])
    np.testing.assert_array_equal(smooth, kept, err_msg="blocks are left as they are")
    smooth[world.users, world.items] += sparse
    return totals, smooth.reshape(-1, 4)


@pytest.mark.parametrize("sampled", [("user", "item"), ("user",), ("item",)])
def test_totals_equal_dense_rows(sampled):
    world = World(3)
    totals, cells = streamed(world)
    found = totals.to_estimate([0, 2, 0], [1, 3, CELLS], ["dr", "snips", "again"], sampled=sampled)
    dense = Estimate.from_score(
        Score(cells[:, [0, 2, 0]], cells[:, [1, 3, 1]]), world.clusters, sampled=sampled
    )
    assert_alike(found, dense)
    np.testing.assert_allclose(found.effective_sample_size, dense.effective_sample_size)
    assert found.difference("dr", "again").standard_error[0] <= 1e-8
    np.testing.assert_allclose(totals.totals, cells.sum(axis=0))


def test_totals_with_rows_only_and_ips_over_all_cells():
    world = World(4)
    totals = CellTotals(M, N_ITEMS, 1)
    totals.add_rows(world.users, world.items, world.residual[:, None])
    rows = np.zeros((M, N_ITEMS))
    rows[world.users, world.items] = world.residual
    dense = Estimate.from_score(Score(rows.ravel()), world.clusters)
    assert_alike(totals.to_estimate([0], [CELLS]), dense)


def test_rows_of_one_cell_are_summed():
    totals, once = CellTotals(3, 3, 1), CellTotals(3, 3, 1)
    users, items = np.array([0, 1, 2, 0]), np.array([0, 1, 2, 0])
    totals.add_rows(users, items, np.array([[1.0], [2.0], [3.0], [4.0]]))
    once.add_rows(users[:3], items[:3], np.array([[5.0], [2.0], [3.0]]))
    assert_alike(totals.to_estimate([0], [CELLS]), once.to_estimate([0], [CELLS]))


@pytest.mark.parametrize("with_blocks", [True, False])
def test_totals_by_provider_equal_dense_rows(with_blocks):
    world = World(6)
    provider = np.arange(N_ITEMS) % 7
    options = {"item_clusters": provider, "item_dimension": "provider"}
    if with_blocks:
        totals, cells = streamed(world, **options)
        pairs = [0, 2, 0], [1, 3, CELLS]
    else:
        totals = CellTotals(M, N_ITEMS, 4, **options)
        cells = np.zeros((M, N_ITEMS, 4))
        values = np.random.default_rng(0).normal(size=(len(world.users), 4))
        cells[world.users, world.items] = np.add(values, [0.0, 4.0, 0.0, 4.0])
        totals.add_rows(world.users, world.items, cells[world.users, world.items])
        cells = cells.reshape(-1, 4)
        pairs = [0, 2, 0], [1, 3, CELLS]
    codes = {"user": world.clusters["user"], "provider": provider[world.clusters["item"]]}
    bottom = np.column_stack([cells[:, 1], cells[:, 3], np.ones(len(cells))])
    dense = Estimate.from_score(Score(cells[:, [0, 2, 0]], bottom), codes)
    assert_alike(totals.to_estimate(*pairs), dense)


def test_estimates_of_the_same_totals_combine_and_others_do_not():
    world = World(3)
    totals, cells = streamed(world)
    dr, snips = totals.to_estimate([0], [1], ["a"]), totals.to_estimate([2], [3], ["a"])
    dense = Estimate.from_score(Score(cells[:, [0, 2]], cells[:, [1, 3]]), world.clusters)
    gap = dense.difference("estimate 0", "estimate 1")
    assert (dr - snips).standard_error[0] == pytest.approx(gap.standard_error[0], rel=1e-10)
    again, _ = streamed(world)
    with pytest.raises(ResultError, match="Accumulate both in one CellTotals"):
        dr - again.to_estimate([0], [1], ["a"])
    with pytest.raises(ResultError, match="other rows or clusters"):
        dr - world.grid(labels=["a"])


def test_totals_may_grow_between_estimates():
    totals = CellTotals(4, 3, 1)
    totals.add_rows(np.array([0, 1]), np.array([0, 1]), np.ones((2, 1)))
    first = totals.to_estimate([0], [CELLS])
    totals.add_rows(np.array([0, 3]), np.array([0, 2]), np.ones((2, 1)))
    assert float(first) == pytest.approx(2 / 12)
    assert float(totals.to_estimate([0], [CELLS])) == pytest.approx(4 / 12)


def test_totals_with_design_residual():
    rng = np.random.default_rng(0)
    users, items = np.divmod(np.arange(60), 6)
    random = rng.normal(size=(60, 1))
    totals = CellTotals(10, 6, 1)
    with pytest.raises(DataError, match="design_residual="):
        totals.to_estimate([0], [CELLS], sampled=())
    totals.add_rows(users, items, rng.normal(size=(60, 1)), design_residual=random)
    e = totals.to_estimate([0], [CELLS], sampled=())
    assert e.standard_error[0] == pytest.approx(np.sqrt(np.square(random).sum()) / 60)


def test_totals_refusals():
    totals = CellTotals(4, 3, 2)
    totals.add(slice(0, 2), np.ones((2, 3, 2)))
    with pytest.raises(DataError, match="added before; add it once"):
        totals.add(slice(1, 3), np.ones((2, 3, 2)))
    with pytest.raises(DataError, match=r"user codes \[1\].*Call add_rows first"):
        totals.add_rows(np.array([1]), np.array([0]), np.ones((1, 2)))
    with pytest.raises(DataError, match=r"must be \(2, 3, 2\)"):
        totals.add(slice(2, 4), np.ones((2, 3, 1)))
    with pytest.raises(DataError, match=r"must be \(rows, 2\)"):
        totals.add_rows(np.array([3]), np.array([0]), np.ones((1, 1)))
    with pytest.raises(DataError, match=r"0..1 or be CELLS"):
        totals.to_estimate([0], [2])
    with pytest.raises(DataError, match="Did you mean 'item'"):
        totals.to_estimate([0], [1], sampled=("items",))
    with pytest.raises(DataError, match="one code for each of the 3 items"):
        CellTotals(4, 3, 2, item_clusters=np.zeros(4, int))
    assert np.isnan(CellTotals(4, 3, 2).to_estimate([0], [1]).value).all()
