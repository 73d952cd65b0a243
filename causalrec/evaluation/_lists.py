"""Ranked lists: the place of every item of a block of users, with a stated rule for ties."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def places(
    prediction: npt.NDArray[np.float64], rankable: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.int64]:
    """Return the 1-based place of each item in its user's list.

    Parameters
    ----------
    prediction : float array (n_users, n_items)
        Finite; higher is placed first; equal predictions keep the order of the item table.
    rankable : bool array (n_users, n_items), optional
        Items that compete; the others get place 0.

    Returns
    -------
    int64 array (n_users, n_items)

    Examples
    --------
    >>> places(np.array([[0.1, 0.7, 0.7, 0.9]]), np.array([[True, True, True, False]]))
    array([[3, 1, 2, 0]])
    """
    keyed = -prediction
    if rankable is not None:
        keyed = np.where(rankable, keyed, np.inf)
    order = np.argsort(keyed, axis=1, kind="stable")
    place = np.empty(prediction.shape, dtype=np.int64)
    ranks = np.broadcast_to(np.arange(1, prediction.shape[1] + 1), prediction.shape)
    np.put_along_axis(place, order, ranks, axis=1)
    return place if rankable is None else np.where(rankable, place, 0)


def lists_of_cells(
    users: npt.NDArray[np.integer], items: npt.NDArray[np.integer], score: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Return the 1-based place of each cell among the given cells of its user.

    Parameters
    ----------
    users, items : int arrays (n_cells,)
        Codes of the cells that compete: one list a user, of those cells only.
    score : float array (n_cells,)
        Higher is placed first; equal scores keep the order of the item codes.

    Examples
    --------
    >>> lists_of_cells(np.array([1, 0, 1]), np.array([4, 4, 2]), np.array([0.5, 0.1, 0.5]))
    array([2, 1, 1])
    """
    if len(users) and (np.diff(users.astype(np.int64) * (int(items.max()) + 1) + items) > 0).all():
        return _of_sorted_cells(users, score)
    order = np.lexsort((items, -score, users))
    sorted_users = users[order]
    starts = np.r_[True, sorted_users[1:] != sorted_users[:-1]]
    first = np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order)) - first + 1
    return place


def _of_sorted_cells(
    users: npt.NDArray[np.integer], score: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Rank cells that come user by user, items in order: each user a row of a matrix.

    Rows are filled up with what is placed last, so a stable sort leaves the places as they are.
    """
    starts = np.flatnonzero(np.r_[True, users[1:] != users[:-1]])
    lengths = np.diff(np.r_[starts, len(users)])
    row = np.repeat(np.arange(len(starts)), lengths)
    column = np.arange(len(users)) - np.repeat(starts, lengths)
    filled = np.full((len(starts), int(lengths.max())), -np.inf)
    filled[row, column] = score
    return places(filled)[row, column]
