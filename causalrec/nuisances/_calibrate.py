"""Calibration of propensities: a map from predicted to observed shares, cross-fitted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from causalrec.nuisances._grid_logit import blocks
from causalrec.nuisances._never import NEVER

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances._backends import Backend
    from causalrec.nuisances._cell_folds import CellFolds
    from causalrec.nuisances._features import RowDesign
    from causalrec.nuisances._options import Within

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Calibration = Literal["platt", "isotonic"]

EDGES = np.linspace(-16.0, 16.0, 1601)
"""Bins of the logit, .02 wide: within one the map is constant to a hundredth of a propensity."""

ENDS = (2e-7, 1.0 - 2e-7)
"""What a classifier calls impossible or certain is a prediction like any other."""


def undecided(p: Floats) -> Bools:
    """Whether a propensity is an estimate, and not that of a never-observed profile."""
    return np.asarray((p != NEVER) & (p != 1.0 - NEVER))


@dataclass(frozen=True)
class Map:
    """From the logit of a propensity to the calibrated one.

    Attributes
    ----------
    kind : "platt" or "isotonic"
    x, y : float64 (k,)
        Platt: y = (alpha, beta) of p = expit(alpha + beta logit), x empty. Isotonic: the ends of
        the steps, between which p is interpolated.
    """

    kind: Calibration
    x: Floats
    y: Floats

    def __call__(self, p: Floats) -> Floats:
        """Return calibrated propensities; never-observed cells stay so."""
        from scipy.special import expit, logit

        inside = undecided(p)
        value = logit(np.clip(p, *ENDS))
        if self.kind == "platt":
            moved = expit(self.y[0] + self.y[1] * value)
        else:
            moved = np.interp(value, self.x, self.y)
        return np.asarray(np.where(inside, moved, p), dtype=np.float64)


@dataclass(frozen=True)
class Counts:
    """Cells (rows), those that happened, and the sum of the logits, by fold and bin of the logit.

    Attributes
    ----------
    population, happened, total : float64 (n_folds, n_bins)
    """

    population: Floats
    happened: Floats
    total: Floats

    @classmethod
    def of(
        cls, pieces: Iterator[tuple[Floats, NDArray[Any], Floats | None]], n_folds: int
    ) -> Counts:
        """Count pieces of (propensities, folds, 0/1 or None where only the population is meant)."""
        from scipy.special import logit

        n_bins = len(EDGES) + 1
        population, happened, total = (np.zeros(n_folds * n_bins) for _ in range(3))
        for p, fold, event in pieces:
            inside = undecided(p)
            value = logit(np.clip(p[inside], *ENDS))
            at = fold[inside].astype(np.int64) * n_bins + np.searchsorted(EDGES, value)
            if event is None or event.ndim:
                population += np.bincount(at, minlength=len(population))
                total += np.bincount(at, value, len(total))
            if event is not None:
                mine = np.broadcast_to(event, p.shape)[inside]
                happened += np.bincount(at, mine, len(happened))
        shape = (n_folds, n_bins)
        return cls(population.reshape(shape), happened.reshape(shape), total.reshape(shape))

    def without(self, fold: int) -> tuple[Floats, Floats, Floats]:
        """Return (mean logit, observed share, cells) of the occupied bins of the other folds."""
        others = np.arange(len(self.population)) != fold
        n, k, total = (x[others].sum(axis=0) for x in (self.population, self.happened, self.total))
        kept = n > 0
        return total[kept] / n[kept], k[kept] / n[kept], n[kept]


def fit_map(kind: Calibration, x: Floats, share: Floats, n: Floats) -> Map:
    """Fit the map by maximum likelihood (Platt 1999), or by least squares (isotonic).

    Parameters
    ----------
    kind : "platt" or "isotonic"
    x, share, n : float64 (k,)
        Mean logit, observed share and cells of each bin.

    Notes
    -----
    An isotonic map may start with a step on which nothing happened: it is pooled with the next one,
    so that no propensity is zero (and, at the other end, none is one), and all add up as before.
    """
    if kind == "platt":
        return Map(kind, np.zeros(0), _platt(x, share, n))
    from sklearn.isotonic import IsotonicRegression

    found = IsotonicRegression().fit(x, share, sample_weight=n)
    y = np.asarray(found.predict(x), dtype=np.float64)
    return Map(kind, x, 1.0 - _without_zero(1.0 - _without_zero(y, n)[::-1], n[::-1])[::-1])


def _without_zero(y: Floats, n: Floats) -> Floats:
    """Return rising shares with a first step of zero pooled with the next one."""
    zero = y == 0.0
    if not zero.any():
        return y
    above = y[~zero].min() if not zero.all() else 0.0
    pooled = zero | (y == above)
    events = max(float(n[pooled] @ y[pooled]), 0.5)
    return np.where(pooled, events / float(n[pooled].sum()), y)


def _platt(x: Floats, share: Floats, n: Floats) -> Floats:
    from scipy.special import expit

    design = np.column_stack([np.ones_like(x), x])
    at = np.array([0.0, 1.0])
    for _ in range(50):
        p = expit(design @ at)
        gradient = design.T @ (n * (share - p))
        information = (design * (n * p * (1.0 - p))[:, None]).T @ design
        step = np.linalg.solve(information + 1e-9 * np.eye(2), gradient)
        # a step of more than one logit has left what the quadratic describes
        at = at + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-10:
            break
    return at


def count_rows(
    backend: Backend, log: InteractionLog, within: Within, user_fold: NDArray[Any]
) -> Counts:
    """Count the rows of candidates; their folds are those of the users."""
    kept = within.cells(log.user_codes, log.item_codes)
    p = backend.rows(log)
    p = backend.codes(log.user_codes, log.item_codes) if p is None else p
    assert log.exposure is not None  # candidates have one, the log has checked
    event = log.exposure[kept].astype(np.float64)
    pieces = iter([(p[kept], user_fold[log.user_codes[kept]], event)])
    return Counts.of(pieces, int(user_fold.max()) + 1)


def count_cells(
    backend: Backend, log: InteractionLog, within: Within, folds: CellFolds | NDArray[Any]
) -> Counts:
    """Count the eligible cells of ratings; the folds are those of cells or of users."""
    by_cell = not isinstance(folds, np.ndarray)
    n_folds = folds.n_folds if by_cell else int(folds.max()) + 1  # type: ignore[union-attr]

    def fold(users: NDArray[Any], items: NDArray[Any]) -> NDArray[Any]:
        found: Any = folds
        return np.asarray(found.of(users, items) if by_cell else found[users])

    def pieces() -> Iterator[tuple[Floats, NDArray[Any], Floats | None]]:
        for users in blocks(log.n_users, log.n_items):
            p = backend.block(users)
            mask = within.users[users][:, None] & within.items[None, :]
            allowed = log.eligible_block(users)
            mask = mask if allowed is None else mask & allowed
            row, column = np.nonzero(mask)
            yield p[mask], fold(row + users.start, column), None
        seen = within.observed(log)
        yield backend.codes(*seen), fold(*seen), np.array(1.0)

    return Counts.of(pieces(), n_folds)


@dataclass(frozen=True)
class Calibrated:
    """Another backend, its propensities moved by a map."""

    inner: Any
    map: Map

    def codes(self, users: NDArray[Any], items: NDArray[Any]) -> Floats:
        """Return P of aligned cells."""
        return self.map(self.inner.codes(users, items))

    def block(self, users: slice) -> Floats:
        """Return P of a block of users against all items."""
        return self.map(self.inner.block(users))

    def rows(self, log: InteractionLog) -> Floats | None:
        """Return P of the rows of a log, or None where P is a function of the cell."""
        p: Floats | None = self.inner.rows(log)
        return None if p is None else self.map(p)

    def design_rows(self, design: RowDesign, log: InteractionLog, rows: Bools) -> Floats:
        """Return P of some rows of a log whose design is at hand."""
        return self.map(self.inner.design_rows(design, log, rows))
