"""One pass over the cells or rows: how propensities and what happened are distributed, by group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError
from causalrec.nuisances._base import Propensity
from causalrec.nuisances._grid_logit import blocks
from causalrec.nuisances._resolve import grid_propensity, row_propensity

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]

FINE_BINS = 600
SMALLEST = 1e-6
"""Propensities below share the first fine bin."""


@dataclass(frozen=True)
class PropensityProfile:
    """Counts by group and fine bin of the propensity.

    Attributes
    ----------
    groups : tuple of str (G,)
    edges : float64 (FINE_BINS + 1,)
        Logarithmic for observation (propensities are small), linear for exposure.
    population, happened, expected : float64 (G, FINE_BINS)
        Eligible cells (or rows); those observed (exposed); sum of their propensities.
    weight, squared_weight : float64 (G,)
        Sums of 1/p and 1/p^2 over what happened.
    largest_weight : float64 (G,)
    """

    groups: tuple[str, ...]
    edges: Floats
    population: Floats
    happened: Floats
    expected: Floats
    weight: Floats
    squared_weight: Floats
    largest_weight: Floats

    def everybody(self) -> PropensityProfile:
        """Return the same counts without groups."""
        return PropensityProfile(
            ("all",),
            self.edges,
            self.population.sum(axis=0, keepdims=True),
            self.happened.sum(axis=0, keepdims=True),
            self.expected.sum(axis=0, keepdims=True),
            self.weight.sum(keepdims=True),
            self.squared_weight.sum(keepdims=True),
            self.largest_weight.max(keepdims=True),
        )

    def coarse_edges(self, n_bins: int) -> NDArray[np.intp]:
        """Return fine-bin numbers that cut the population into bins of equal size, (n + 1,)."""
        total = self.population.sum(axis=0)
        share = np.cumsum(total) / total.sum()
        inner = np.searchsorted(share, np.arange(1, n_bins) / n_bins) + 1
        return np.unique(np.concatenate([[0], inner, [len(total)]]))

    def occupied(self) -> slice:
        """Return the fine bins between the smallest and the largest propensity."""
        found = np.flatnonzero(self.population.sum(axis=0))
        return slice(int(found[0]), int(found[-1]) + 1)


def profile_propensity(
    propensity: Propensity, log: InteractionLog, by: str | None = None
) -> PropensityProfile:
    """Go once over the eligible cells (ratings) or the rows (candidates, impressions).

    Parameters
    ----------
    propensity : Propensity
    log : InteractionLog
    by : str, optional
        A column of users or items (of events too, for rows).
    """
    if log.kind in {"candidates", "impressions"} or _by_row_only(propensity):
        return _of_rows(propensity, log, by)
    return _of_cells(propensity, log, by)


def _by_row_only(propensity: Propensity) -> bool:
    return bool(getattr(propensity, "by_row", False))


def _fine_edges(propensity: Propensity) -> Floats:
    if propensity.of_ == "exposure":
        return np.linspace(0.0, 1.0, FINE_BINS + 1)
    return np.geomspace(SMALLEST, 1.0, FINE_BINS + 1)


def _bin(p: Floats, edges: Floats) -> NDArray[np.intp]:
    return np.clip(np.searchsorted(edges, p, side="right") - 1, 0, len(edges) - 2)


def levels_of(values: Any) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Return the code of each value and the levels' names, sorted as text."""
    names, codes = np.unique(np.asarray(values.astype(str), dtype=object), return_inverse=True)
    return codes.ravel(), tuple(map(str, names))


def _of_rows(propensity: Propensity, log: InteractionLog, by: str | None) -> PropensityProfile:
    p = row_propensity(propensity, log)
    happened = np.ones(log.n_rows) if log.exposure is None else log.exposure.astype(np.float64)
    codes: NDArray[Any] = np.zeros(log.n_rows, dtype=np.intp)
    groups: tuple[str, ...] = ("all",)
    if by is not None:
        codes, groups = levels_of(log.column(by))
    edges = _fine_edges(propensity)
    at = codes * FINE_BINS + _bin(p, edges)
    shape = (len(groups), FINE_BINS)

    def total(values: Floats) -> Floats:
        return np.bincount(at, values, shape[0] * shape[1]).reshape(shape).astype(np.float64)

    weight = np.divide(happened, p, out=np.zeros_like(p), where=happened > 0)
    return PropensityProfile(
        groups, edges, total(np.ones(log.n_rows)), total(happened), total(p),
        *_weights(weight, codes, len(groups)),
    )  # fmt: skip


def _of_cells(propensity: Propensity, log: InteractionLog, by: str | None) -> PropensityProfile:
    user_codes = np.zeros(log.n_users, dtype=np.intp)
    item_codes = np.zeros(log.n_items, dtype=np.intp)
    groups: tuple[str, ...] = ("all",)
    if by is not None:
        entity = log.entity_of(by)
        if entity == "event":
            raise DataError(
                f"Column {by!r} belongs to events: unobserved cells have none. Choose a column of"
                " users or items."
            )
        frame = log.users if entity == "user" else log.items
        codes, groups = levels_of(frame[by])
        user_codes, item_codes = (codes, item_codes) if entity == "user" else (user_codes, codes)
    edges = _fine_edges(propensity)
    size = len(groups) * FINE_BINS
    population, expected = np.zeros(size), np.zeros(size)
    for users in blocks(log.n_users, log.n_items):
        p = grid_propensity(propensity, log, users)
        at = _bin(p, edges) + (user_codes[users, None] + item_codes[None, :]) * FINE_BINS
        allowed = log.eligible_block(users)
        inside, where = (p.ravel(), at.ravel()) if allowed is None else (p[allowed], at[allowed])
        population += np.bincount(where, minlength=size)
        expected += np.bincount(where, weights=inside, minlength=size)
    cells = log.observed_cells()
    p_observed = _observed_propensity(propensity, log, cells.users, cells.items)
    group = user_codes[cells.users] + item_codes[cells.items]
    at_observed = _bin(p_observed, edges) + group * FINE_BINS
    happened = np.bincount(at_observed, minlength=size).astype(np.float64)
    shape = (len(groups), FINE_BINS)
    return PropensityProfile(
        groups, edges, population.reshape(shape), happened.reshape(shape),
        expected.reshape(shape), *_weights(1.0 / p_observed, group, len(groups)),
    )  # fmt: skip


def _observed_propensity(
    propensity: Propensity, log: InteractionLog, users: NDArray[Any], items: NDArray[Any]
) -> Floats:
    from causalrec.nuisances._resolve import cell_propensity

    return cell_propensity(propensity, log, users, items)


def _weights(weight: Floats, group: NDArray[Any], n_groups: int) -> tuple[Floats, Floats, Floats]:
    largest = np.zeros(n_groups)
    np.maximum.at(largest, group, weight)
    total = np.bincount(group, weight, n_groups).astype(np.float64)
    return total, np.bincount(group, weight**2, n_groups).astype(np.float64), largest
