"""Clipping as an object: what it does, and how much it did."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import StudyError
from causalrec.nuisances._base import Of
from causalrec.nuisances._grid_logit import blocks

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances._backends import Backend

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Clipping:
    """Raise propensities to a floor; for exposures lower them to 1 - floor too."""

    floor: float | None = None

    @classmethod
    def of(cls, clip: float | None) -> Clipping:
        """Check the floor, which lies in (0, 0.5)."""
        if clip is not None and not (isinstance(clip, Real) and 0.0 < clip < 0.5):
            raise StudyError(f"clip must lie between 0 and 0.5, not {clip!r}.")
        return cls(clip)

    def apply(self, p: Floats, of: Of) -> Floats:
        """Return the clipped propensities."""
        if self.floor is None:
            return p
        return np.clip(p, self.floor, 1.0 - self.floor if of == "exposure" else 1.0)

    def count(self, p: Floats, of: Of) -> int:
        """Return how many propensities clipping would change."""
        if self.floor is None:
            return 0
        outside = p < self.floor
        if of == "exposure":
            outside |= p > 1.0 - self.floor
        return int(outside.sum())


def count_clipped(
    clipping: Clipping, backend: Backend, log: InteractionLog, of: Of, *, by_cell: bool
) -> tuple[int, float]:
    """Return how many eligible cells (rows) are clipped, and their share."""
    if clipping.floor is None:
        return 0, 0.0
    clipped, total = (clip_cells if by_cell else clip_rows)(clipping, backend, log, of)
    return clipped, clipped / max(total, 1)


def clip_cells(
    clipping: Clipping, backend: Backend, log: InteractionLog, of: Of
) -> tuple[int, int]:
    """Count the eligible cells that are clipped, and the eligible cells."""
    clipped, total = 0, 0
    for users in blocks(log.n_users, log.n_items):
        p = backend.block(users)
        allowed = log.eligible_block(users)
        inside = p.ravel() if allowed is None else p[allowed]
        clipped, total = clipped + clipping.count(inside, of), total + inside.size
    return clipped, total


def clip_rows(clipping: Clipping, backend: Backend, log: InteractionLog, of: Of) -> tuple[int, int]:
    """Count the rows that are clipped, and the rows."""
    by_row = backend.rows(log)
    p = backend.codes(log.user_codes, log.item_codes) if by_row is None else by_row
    return clipping.count(p, of), log.n_rows
