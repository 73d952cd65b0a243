"""The support that groups share: a gap over different rows would be one of catalogues too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from causalrec.effects._groups import Groups
    from causalrec.effects._scores import Computation

MOSTLY = 0.5
"""A member of the other side is shared if so many of its rows are supported in each group."""


@dataclass(frozen=True, eq=False)
class Shared:
    """The rows over which groups are compared.

    Attributes
    ----------
    codes : int64 (n,)
        Place of the group of each supported row; -1 for rows that are not compared.
    left_out : int
        Items (users, for an attribute of items) that are not supported in every group.
    words : str
        What is added to the name of the population; "" where nothing is left out.
    """

    codes: NDArray[np.int64]
    left_out: int = 0
    words: str = ""


def share_support(computation: Computation, groups: Groups) -> Shared:
    """Leave out items (users, for an attribute of items) mostly unsupported in one of the groups.

    Rows of an attribute of events have no other side: they are compared as they are.
    """
    population = computation.population
    log, inside, codes = population.log, population.supported, groups.codes
    entity = log.entity_of(groups.column)
    if inside.all() or entity == "event":
        return Shared(codes)
    other, size = (
        (log.item_codes, log.n_items) if entity == "user" else (log.user_codes, log.n_users)
    )
    names = log.column(groups.column, missing="keep").astype("string").fillna("")
    of_row = names.to_numpy(dtype=object)
    shared, touched = np.ones(size, dtype=bool), np.zeros(size, dtype=bool)
    for level in groups.levels:
        rows = of_row == level
        eligible = np.bincount(other[rows], minlength=size)
        supported = np.bincount(other[rows & inside], minlength=size)
        shared &= supported >= MOSTLY * eligible
        touched |= eligible > 0
    left_out = int((touched & ~shared).sum())
    if not left_out:
        return Shared(codes)
    kept = np.where(shared[other[inside]], codes, -1)
    exposure = population.exposure
    for place in range(len(groups.levels)):
        if not {0.0, 1.0} <= set(np.unique(exposure[kept == place]).tolist()):
            kept[kept == place] = -1  # an arm is missing: no gap with this group
    what = "items" if entity == "user" else "users"
    words = f", with {what} supported in every group of {groups.column!r} ({left_out:,} left out)"
    return Shared(kept, left_out, words)
