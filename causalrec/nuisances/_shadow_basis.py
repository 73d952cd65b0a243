"""Functions of user and item columns that are known for every cell, as sums of products.

A function of a cell is u_j v_k, with u_j of its user and v_k of its item. So its sum over a full
grid is the product of two sums, and its values at chosen cells are two look-ups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError
from causalrec.nuisances._features import Covariates, Encoder, encode
from causalrec.nuisances._grid_logit import blocks
from causalrec.threads import one_thread

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
Side = tuple[Floats, tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class CellBasis:
    """Functions of cells: which of them explain the recording, and which only the shadow gives.

    Attributes
    ----------
    users, items : float64 (n_users, P), (n_items, Q)
        The first column of each is 1.
    of_user, of_item : int64 (K,)
        The two factors of each function; the first function is 1.
    names : tuple of str (K,)
    explains : bool (K,)
        True for functions of the covariates, False for those with the shadow in them.
    solved : bool (K,)
        True for those and for the shadow itself. The others (its square, its crosses) only test:
        to solve for them too would gain a tenth of the standard error and double the bias.
    """

    users: Floats
    items: Floats
    of_user: NDArray[np.int64]
    of_item: NDArray[np.int64]
    names: tuple[str, ...]
    explains: NDArray[np.bool_]
    solved: NDArray[np.bool_]

    def at(self, users: NDArray[Any], items: NDArray[Any]) -> Floats:
        """Return the functions at aligned cells, (n, K)."""
        by_user: Floats = self.users[users][:, self.of_user]
        by_item: Floats = self.items[items][:, self.of_item]
        return by_user * by_item

    @one_thread
    def block(
        self, users: slice, matrix: Floats, eligible: NDArray[np.bool_] | None = None
    ) -> Floats:
        """Return combinations of the functions (the columns of `matrix`) of a block of users.

        Parameters
        ----------
        users : slice
        matrix : float64 (K, r)
        eligible : bool (b, n_items), optional
            Cells that are not get 0.

        Returns
        -------
        float64 (b, n_items, r)
        """
        x, z = self.users[users], self.items
        found = np.empty((len(x), len(z), matrix.shape[1]))
        for at in range(matrix.shape[1]):
            between = np.zeros((x.shape[1], z.shape[1]))
            between[self.of_user, self.of_item] = matrix[:, at]
            found[:, :, at] = x @ between @ z.T
        if eligible is not None:
            found *= eligible[:, :, None]
        return found

    @one_thread
    def totals(self, log: InteractionLog) -> Floats:
        """Return the sum of each function over the eligible cells, (K,)."""
        if log.eligible_block(slice(0, 1)) is None:
            sums = np.outer(self.users.sum(axis=0), self.items.sum(axis=0))
            return np.asarray(sums[self.of_user, self.of_item])
        sums = np.zeros((self.users.shape[1], self.items.shape[1]))
        for part in blocks(log.n_users, log.n_items):
            allowed = log.eligible_block(part)
            assert allowed is not None  # asked above
            sums += self.users[part].T @ (allowed @ self.items)
        return np.asarray(sums[self.of_user, self.of_item])


def cell_basis(
    log: InteractionLog, covariates: Covariates, shadow: str, *, crosses: bool
) -> CellBasis:
    """Return the functions of a log's covariates and of its shadow variable.

    Parameters
    ----------
    log : InteractionLog
    covariates : Covariates
        Columns of users and items; events have none for an unrecorded cell.
    shadow : str
        A column of users or of items. A number gives itself, its square and (with `crosses`) its
        products with the other side's features; words give one function a level but the first.
    crosses : bool
        Whether each user feature x item feature is a function too.
    """
    entity = log.entity_of(shadow)
    if covariates.event or entity == "event":
        columns = ", ".join(map(repr, (*covariates.event, *([shadow] * (entity == "event")))))
        raise DataError(
            f"{columns}: a column of the events is not known for cells that were not recorded, and"
            " a shadow variable and its covariates have to be. Record it for users or items."
        )
    sides = {
        "user": _features(log.users, covariates.user, "users"),
        "item": _features(log.items, covariates.item, "items"),
    }
    table = {"user": log.users, "item": log.items}[entity]
    marks = _shadow_functions(table, shadow, f"{entity}s")
    (x, x_names), (z, z_names) = sides["user"], sides["item"]
    p, q = x.shape[1], z.shape[1]
    found = [(j, k) for j in range(p) for k in range(q) if crosses or not j or not k]
    n_explains, n_other = len(found), q if entity == "user" else p
    first = p if entity == "user" else q
    alone = [(first + at, 0) for at in range(len(marks[1]))]
    # Only one column is crossed: products with each of many levels would be many equations.
    single = len(marks[1]) == 1 or marks[1][0] == shadow
    alone += [(first, o) for o in range(1, n_other)] if crosses and single else []
    found += alone if entity == "user" else [(k, j) for j, k in alone]
    n_solved = n_explains + (1 if single else len(marks[1]))
    if entity == "user":
        x, x_names = np.hstack([x, marks[0]]), (*x_names, *marks[1])
    else:
        z, z_names = np.hstack([z, marks[0]]), (*z_names, *marks[1])
    pairs = np.array(found, dtype=np.int64)
    names = tuple(_name(x_names[j], z_names[k]) for j, k in found)
    place = np.arange(len(found))
    return CellBasis(x, z, pairs[:, 0], pairs[:, 1], names, place < n_explains, place < n_solved)


def _features(frame: pd.DataFrame, columns: tuple[str, ...], table: str) -> Side:
    """Return a column of ones and the encoded columns, words without their first level."""
    matrix, names = _without_first_levels(frame, encode(frame, columns, table=table))
    return np.hstack([np.ones((len(frame), 1)), matrix]), ("", *names)


def _without_first_levels(frame: pd.DataFrame, encoder: Encoder) -> Side:
    found = encoder.apply(frame)
    first = {f"{code.column}={code.levels[0]}" for code in encoder.codes if code.levels}
    kept = [at for at, name in enumerate(found.names) if name not in first]
    return found.matrix[:, kept], tuple(found.names[at] for at in kept)


def _shadow_functions(frame: pd.DataFrame, shadow: str, table: str) -> Side:
    matrix, names = _without_first_levels(frame, encode(frame, [shadow], table=table))
    if not np.ptp(matrix, axis=0).any():
        raise DataError(
            f"The shadow variable {shadow!r} takes one value only: it cannot move the outcome."
        )
    if names == (shadow,) and len(np.unique(matrix)) > 2:
        square = np.square(matrix) - np.square(matrix).mean()
        return np.hstack([matrix, square]), (shadow, f"{shadow} squared")
    return matrix, names


def _name(user: str, item: str) -> str:
    return " x ".join(part for part in (user, item) if part) or "intercept"
