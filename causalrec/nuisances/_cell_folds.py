"""Folds over cells: each cell predicted by a model whose likelihood did not see it.

A latent model has seen O_ui itself, and its in-sample propensities add up to too little (on Coat
sum(1/p)/cells is .68 with four factors). Folds by user do not help, because a user's effect and
factors are learned from his own cells; so cells are dealt into folds. The fold of a cell is a hash
of its codes: nothing of the size of the grid is held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances._backends import Backend

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Codes = NDArray[Any]


@dataclass(frozen=True)
class CellFolds:
    """Which fold a cell is in.

    Examples
    --------
    >>> folds = CellFolds(4, seed=0)
    >>> number = folds.of(np.repeat(np.arange(100), 50), np.tile(np.arange(50), 100))
    >>> bool((abs(np.bincount(number) / 5000 - 0.25) < 0.03).all())
    True
    """

    n_folds: int
    seed: int

    def of(self, users: Codes, items: Codes) -> NDArray[np.uint8]:
        """Return the fold of aligned cells (codes of any broadcastable shapes)."""
        user, item = np.asarray(users).astype(np.uint64), np.asarray(items).astype(np.uint64)
        start = _mixed(np.array(self.seed, np.uint64))
        number = _mixed((user << np.uint64(32)) + item + start) % np.uint64(self.n_folds)
        return number.astype(np.uint8)

    def block(self, users: Codes, items: Codes) -> NDArray[np.uint8]:
        """Return the fold of users x items, (b, n)."""
        return self.of(np.asarray(users)[:, None], np.asarray(items)[None, :])


@dataclass(frozen=True)
class HeldOut:
    """One fold of cells, which a fit is not to see."""

    folds: CellFolds
    number: int

    def cells(self, users: Codes, items: Codes) -> Bools:
        """Whether aligned cells are held out."""
        return np.asarray(self.folds.of(users, items) == self.number)

    def block(self, users: Codes, items: Codes) -> Bools:
        """Whether the cells of users x items are held out, (b, n)."""
        return np.asarray(self.folds.block(users, items) == self.number)


@dataclass(frozen=True)
class FoldedCells:
    """One backend a fold of cells; each cell is predicted by the one that has not seen it."""

    models: tuple[Backend, ...]
    folds: CellFolds
    n_users: int
    n_items: int

    def codes(self, users: Codes, items: Codes) -> Floats:
        """Return P of aligned cells."""
        number = self.folds.of(users, items)
        out = np.empty(len(number))
        for at, model in enumerate(self.models):
            mine = number == at
            out[mine] = model.codes(users[mine], items[mine])
        return out

    def block(self, users: slice) -> Floats:
        """Return P of a block of users against all items."""
        number = self.folds.block(np.arange(self.n_users)[users], np.arange(self.n_items))
        out = self.models[0].block(users)
        for at, model in enumerate(self.models[1:], 1):
            mine = number == at
            out[mine] = model.block(users)[mine]
        return out

    def rows(self, log: InteractionLog) -> None:
        """Return None: P is a function of the cell."""


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the finaliser of SplitMix64 (Steele, Lea & Flood 2014); it wraps around."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
