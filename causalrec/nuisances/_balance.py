"""Balance: do weighted observed cells look like all cells, overall and within groups?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.nuisances._base import Propensity
from causalrec.nuisances._features import Covariates, Encoders, choose_covariates
from causalrec.nuisances._never import NEVER
from causalrec.nuisances._resolve import cell_propensity, row_propensity
from causalrec.results import Table
from causalrec.threads import one_thread

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.interactions import InteractionLog
    from causalrec.nuisances._features import Encoder
    from causalrec.nuisances._support import Support

Floats = NDArray[np.float64]

TOLERATED = 0.1
"""Standardised difference that is usually tolerated (Austin 2009, Statistics in Medicine 28)."""


@dataclass(frozen=True)
class BalanceLine:
    """The standardised difference of one feature in one group, before and after weighting."""

    group: str
    feature: str
    before: float
    after: float
    noise: float
    """Standard error of `after` if each cell were drawn by its propensity: 1 / sqrt(ESS)."""
    unbalanced: bool = False
    """Whether weighting leaves more than `TOLERATED` and more than noise in any of the lines."""


@one_thread
def balance(
    propensity: Propensity,
    log: InteractionLog,
    support: Support | None = None,
    *,
    arm: int = 1,
) -> tuple[BalanceLine, ...]:
    """Compare features of what happened, plain and weighted by 1/p, with all eligible cells.

    Overall, and the features of items within each group of users and the reverse: popularity
    times activity balances each side overall and neither within the other's groups.

    Parameters
    ----------
    propensity : Propensity
    log : InteractionLog
    support : Support, optional
        Compare within the supported cells (rows).
    arm : int
        On candidates, 0 compares the unexposed rows, weighted by 1 / (1 - p).

    Returns
    -------
    tuple of BalanceLine
        Sorted by group and feature.
    """
    encoders = Encoders.of(log, _all_columns(log, propensity))
    happened, weighted = _matrices(propensity, log, support, arm)
    population = _population(log, support)
    user, item = _side(log.users, encoders.user), _side(log.items, encoders.item)
    lines = [
        *_compare(user, item, happened, weighted, population),
        *_compare(item, user, happened.T, weighted.T, population.T),
    ]
    critical = _critical(len(lines))
    judged = [
        replace(x, unbalanced=abs(x.after) > max(TOLERATED, critical * x.noise)) for x in lines
    ]
    return tuple(sorted(judged, key=lambda line: (line.group != "all", line.group, line.feature)))


def _all_columns(log: InteractionLog, propensity: Propensity) -> Covariates:
    # not only what the propensity knows: what it leaves out is where balance fails
    found = choose_covariates(log, None, None)
    keep_user = [c for c in found.user if not log.users[c].isna().any()]
    keep_item = [c for c in found.item if not log.items[c].isna().any()]
    return Covariates(tuple(keep_user), tuple(keep_item))


@dataclass(frozen=True)
class _Side:
    features: Floats
    names: tuple[str, ...]
    groups: Floats  # 0/1, everybody first
    group_names: tuple[str, ...]


def _side(frame: pd.DataFrame, encoder: Encoder) -> _Side:
    encoded = encoder.apply(frame)
    worded = np.array([bool(code.levels) for code in encoder.codes for _ in code.names], dtype=bool)
    everybody = np.ones((len(frame), 1))
    groups = np.hstack([everybody, encoded.matrix[:, worded]]) if len(worded) else everybody
    names = [name for name, is_word in zip(encoded.names, worded, strict=True) if is_word]
    return _Side(encoded.matrix, encoded.names, groups, ("all", *names))


class _Outer:
    """All cells of the grid as a matrix product: 1 1'."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape

    @property
    def T(self) -> _Outer:  # noqa: N802
        return _Outer(self.shape[::-1])

    def __matmul__(self, other: Floats) -> Floats:
        return np.tile(other.sum(axis=0), (self.shape[0], 1))


def _matrices(
    propensity: Propensity, log: InteractionLog, support: Support | None, arm: int
) -> tuple[Any, Any]:
    import scipy.sparse as sp

    shape = (log.n_users, log.n_items)
    if log.kind in {"candidates", "impressions"}:
        p = row_propensity(propensity, log)
        inside = np.ones(log.n_rows, dtype=bool) if support is None else support.rows()
        if log.exposure is not None:
            inside = inside & (log.exposure == arm)
            p = p if arm == 1 else 1.0 - p
        inside = inside & (p > NEVER)
        users, items, p = log.user_codes[inside], log.item_codes[inside], p[inside]
    else:
        cells = log.observed_cells()
        users, items = cells.users, cells.items
        if support is not None:
            inside = support.cells(users, items)
            users, items = users[inside], items[inside]
        p = cell_propensity(propensity, log, users, items)
    return (
        sp.csr_array((np.ones(len(p)), (users, items)), shape=shape),
        sp.csr_array((1.0 / p, (users, items)), shape=shape),
    )


def _population(log: InteractionLog, support: Support | None) -> Any:
    import scipy.sparse as sp

    shape = (log.n_users, log.n_items)
    if log.kind in {"candidates", "impressions"}:
        inside = np.ones(log.n_rows, dtype=bool) if support is None else support.rows()
        ones = np.ones(int(inside.sum()))
        return sp.csr_array((ones, (log.user_codes[inside], log.item_codes[inside])), shape=shape)
    restricted = support is not None and support.n_supported < log.n_users * log.n_items
    if not restricted and log.eligible_block(slice(0, 1)) is None:
        return _Outer(shape)
    return _Streamed(log, support)


class _Streamed:
    """Eligible (supported) cells as a matrix, a block of users at a time."""

    def __init__(self, log: InteractionLog, support: Support | None, flip: bool = False) -> None:
        self.log, self.support, self.flip = log, support, flip

    @property
    def T(self) -> _Streamed:  # noqa: N802
        return _Streamed(self.log, self.support, not self.flip)

    def _blocks(self) -> Iterator[tuple[slice, Floats]]:
        step = max(1, 2**20 // max(self.log.n_items, 1))
        for at in range(0, self.log.n_users, step):
            users = slice(at, min(at + step, self.log.n_users))
            found = (
                self.log.eligible_block(users)
                if self.support is None
                else self.support.block(users)
            )
            shape = (users.stop - users.start, self.log.n_items)
            yield users, np.ones(shape) if found is None else found.astype(np.float64)

    def __matmul__(self, other: Floats) -> Floats:
        if self.flip:
            return np.asarray(sum(cells.T @ other[users] for users, cells in self._blocks()))
        return np.vstack([cells @ other for _, cells in self._blocks()])


def _compare(
    by: _Side, of: _Side, happened: Any, weighted: Any, population: Any
) -> Iterator[BalanceLine]:
    """Yield the balance of the features of one side within the groups of the other."""
    if not of.names:
        return
    stacked = np.hstack([np.ones((len(of.features), 1)), of.features, of.features**2])
    k = len(of.names)
    target = by.groups.T @ (population @ stacked)
    plain = by.groups.T @ (happened @ stacked[:, : k + 1])
    heavy = by.groups.T @ (weighted @ stacked[:, : k + 1])
    squares = by.groups.T @ (weighted.power(2) @ np.ones((len(of.features), 1)))
    noise = np.sqrt(squares[:, 0]) / np.maximum(heavy[:, 0], 1e-300)
    for g, group in enumerate(by.group_names):
        if min(target[g, 0], plain[g, 0], heavy[g, 0]) <= 0:
            continue
        mean = target[g, 1 : k + 1] / target[g, 0]
        spread = np.sqrt(np.maximum(target[g, k + 1 :] / target[g, 0] - mean**2, 0.0))
        known = spread > 1e-9
        scale = np.where(known, spread, 1.0)
        before = (plain[g, 1:] / plain[g, 0] - mean) / scale
        after = (heavy[g, 1:] / heavy[g, 0] - mean) / scale
        for j in np.flatnonzero(known):
            yield BalanceLine(
                group, of.names[j], float(before[j]), float(after[j]), float(noise[g])
            )


def _critical(n_lines: int) -> float:
    """Return how many standard errors the largest of so many null comparisons stays within."""
    from scipy.special import ndtri

    return float(-ndtri(0.025 / max(n_lines, 1)))


def balance_table(lines: tuple[BalanceLine, ...]) -> Table:
    """Return the standardised mean differences as a table, before and after weighting."""
    return Table(
        name="balance",
        title="Balance: standardised differences from all eligible cells, plain and weighted",
        columns=("group", "feature", "label", "before", "after", "noise", "unbalanced"),
        rows=tuple(
            (
                line.group,
                line.feature,
                line.feature if line.group == "all" else f"{line.feature} | {line.group}",
                line.before,
                line.after,
                line.noise,
                line.unbalanced,
            )
            for line in lines
        ),
        caption=f"Unbalanced: after weighting beyond {TOLERATED}, and beyond what chance gives the"
        " largest of so many comparisons.",
        figure="dots",
        x="label",
        y=("before", "after"),
    )
