"""The error of a slice from which P(observed | rating) was learned, added to the influence.

A weight of naive Bayes is proportional to the share pi_r of its rating r in the slice, so that a
weighted mean theta has the derivative (A_r - theta B_r) / pi_r by it, A_r and B_r being what rating
r adds to numerator and denominator; the share's own influence at a rating R of the slice is
(1[R = r] - pi_r) / n (Newey & McFadden 1994, section 6).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from causalrec.evaluation._cells import CellBlock, CellSource
from causalrec.evaluation._recommenders import FloatArray
from causalrec.inference import CellTotals

if TYPE_CHECKING:
    from causalrec.nuisances import RatingSlice

Places = npt.NDArray[np.int64]


@dataclass(eq=False)
class SliceError:
    """What the ratings of a slice add to the numerators of numbers that are weighted by it.

    Attributes
    ----------
    drawn : RatingSlice
        In the codes of the log that is evaluated.
    upper, lower : int64 (q,)
        Columns of each weighted number above and below the fraction line.
    parts : float64 (L, columns)
        Sums of the columns by rating.
    """

    drawn: RatingSlice
    upper: Places
    lower: Places
    parts: FloatArray = field(init=False)

    @classmethod
    def of(cls, source: CellSource, upper: list[int], lower: list[int]) -> SliceError | None:
        """Return None where no propensity was learned from a slice, or no number uses it."""
        propensity = source.propensity
        drawn = None if propensity is None else propensity.rating_slice
        if propensity is None or drawn is None or not upper:
            return None
        return cls(drawn.for_log(source.log), np.array(upper), np.array(lower))

    def add(self, block: CellBlock, values: FloatArray) -> None:
        """Count the columns of a block by the ratings of its cells."""
        if not hasattr(self, "parts"):
            self.parts = np.zeros((len(self.drawn.levels), values.shape[1]))
        seen = block.observed
        at = np.searchsorted(self.drawn.levels, block.outcome[seen])
        np.add.at(self.parts, at, values[seen])

    def write(self, totals: CellTotals, *, by_design: bool) -> None:
        """Add a row for each rating of the slice.

        Parameters
        ----------
        totals : CellTotals
        by_design : bool
            Whether the error is that over these very cells, of which the slice is a draw.
        """
        drawn = self.drawn
        above, below = self.parts[:, self.upper], self.parts[:, self.lower]
        theta = above.sum(axis=0) / np.where(below.sum(axis=0) == 0.0, 1.0, below.sum(axis=0))
        slope = (above - theta * below) * drawn.free[:, None]
        by_level = slope / (drawn.frequency[:, None] * len(drawn.level))
        rows = np.where(drawn.level[:, None] >= 0, by_level[drawn.level], 0.0)
        rows -= rows.mean(axis=0)
        values = np.zeros((len(rows), self.parts.shape[1]))
        values[:, self.upper] = rows
        residual = values if by_design else None
        totals.add_rows(drawn.users, drawn.items, values, design_residual=residual)
