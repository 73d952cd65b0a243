"""The Anderson-Rubin set: which ratios of two effects the data allow, however weak the lower one.

Anderson & Rubin (1949): the ratio b is kept where the effect of the instrument on outcome - b x
exposure is not told from zero. Fieller's set in closed form: it is an interval, the outside of one,
or the whole line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from causalrec.inference import Estimate


@dataclass(frozen=True)
class RatioSet:
    """A confidence set of a ratio.

    Attributes
    ----------
    shape : "interval", "outside", "everything" or "unknown"
        "outside": all but what lies strictly between the ends. "unknown": too few clusters.
    lower, upper : float
        The ends; NaN where there are none.
    """

    shape: str
    lower: float = float("nan")
    upper: float = float("nan")

    @property
    def words(self) -> str:
        """The set in words."""
        if self.shape == "interval":
            return f"{self.lower:.4g} to {self.upper:.4g}"
        if self.shape == "outside":
            return f"below {self.lower:.4g} or above {self.upper:.4g} (unbounded)"
        if self.shape == "everything":
            return "every number (unbounded)"
        return "unknown: too few clusters"

    def contains(self, ratio: float) -> bool:
        """Return whether a ratio is in the set."""
        if self.shape == "interval":
            return self.lower <= ratio <= self.upper
        return self.shape == "everything" or ratio <= self.lower or ratio >= self.upper


def anderson_rubin(joint: Estimate, top: str, bottom: str, level: float) -> RatioSet:
    """Return the set of ratios top / bottom that the joint estimate allows.

    Parameters
    ----------
    joint : Estimate
        With the effects of the instrument on the outcome (`top`) and on the exposure (`bottom`).
    level : float
    """
    both = joint[[top, bottom]]
    y, a = both.value.tolist()
    low, high = both[top].interval(level)[0].tolist()
    if not np.isfinite(low):
        return RatioSet("unknown")
    critical = (high - low) / (2.0 * float(both.standard_error[0]))
    v = critical**2 * both.covariance
    # (y - b a)^2 <= v_yy - 2 b v_ya + b^2 v_aa
    square, half, constant = a * a - v[1, 1], y * a - v[0, 1], y * y - v[0, 0]
    discriminant = half * half - square * constant
    if square == 0.0 or discriminant < 0.0:
        return RatioSet("everything")
    ends = sorted((half + sign * np.sqrt(discriminant)) / square for sign in (-1.0, 1.0))
    return RatioSet("interval" if square > 0.0 else "outside", float(ends[0]), float(ends[1]))
