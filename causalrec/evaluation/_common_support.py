"""The support that the groups of an attribute share: without it a gap compares catalogues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from causalrec.evaluation._groups import BoolArray, Group

if TYPE_CHECKING:
    from causalrec.nuisances import Support

MOSTLY = 0.5
"""A member of the other side is common to groups if so much of its cells is supported in each."""


def common_support(support: Support | None, groups: Sequence[Group]) -> tuple[Support | None, int]:
    """Return the support that the groups of one attribute share, and how many it leaves out."""
    if support is None or support.share_unsupported == 0.0:
        return support, 0
    common: BoolArray | None = None
    touched: BoolArray | None = None
    for group in groups:
        (column, level), *_ = group.levels.items()
        eligible, supported = support.counts_of(column, level)
        enough = supported >= MOSTLY * eligible
        common = enough if common is None else common & enough
        touched = eligible > 0 if touched is None else touched | (eligible > 0)
    assert common is not None
    assert touched is not None
    left_out = int((touched & ~common).sum())
    if left_out == 0:
        return support, 0
    of_users = groups[0].users is not None
    return support.restricted(**{"items" if of_users else "users": np.asarray(common)}), left_out


def shared_words(groups: Sequence[Group], left_out: int) -> str:
    """Return whom numbers on a common support speak of."""
    (column, _), *_ = groups[0].levels.items()
    what = "items" if groups[0].users is not None else "users"
    return f"cells supported in every group of {column!r} ({left_out:,} {what} left out)"
