"""The largest minus the smallest group, held against what chance alone makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from causalrec.inference import Estimate
from causalrec.results import Table

DRAWS = 4000
DRAW_SEED = 20_261_124
SPREAD_COLUMNS = (
    "attribute",
    "measure",
    "estimator",
    "smallest group",
    "largest group",
    "worst group",
    "largest minus smallest",
    "expected if all were alike",
    "excess",
    "p-value",
)
SpreadLine = tuple[str, str, str, str, str, str, float, float | None, float | None, float | None]


@dataclass(frozen=True)
class Spread:
    """The range of some estimates, and the range that their errors alone would have.

    Attributes
    ----------
    smallest, largest : int
        Places of the extreme labels.
    value : float
        Largest minus smallest: above zero even where all are alike.
    expected : float
        Its mean were all alike; NaN where a label has no error.
    p_value : float
        Share of ranges under the null that are as large.
    """

    smallest: int
    largest: int
    value: float
    expected: float
    p_value: float


def spread_of(estimate: Estimate) -> Spread | None:
    """Return the range of the labels of an estimate; None where one is not estimable.

    Notes
    -----
    Under the null the estimates differ by their errors alone: normal with the clustered covariance
    of the estimate, inflated and divided by the root of a chi-square over the smallest degrees of
    freedom as its t intervals are. An unadjusted largest minus smallest group has an interval above
    zero in every null world (fairlearn's `difference`, by bootstrap: 60 of 60).

    Examples
    --------
    >>> import numpy as np
    >>> from causalrec.scores import Score
    >>> noise = np.random.default_rng(2).normal(size=600)
    >>> alike = Estimate.from_score(
    ...     Score(noise), {"user": np.arange(600)}, groups=np.arange(600) % 6, n_groups=6,
    ...     labels=list("abcdef"))
    >>> found = spread_of(alike)
    >>> round(found.value, 2), round(found.expected, 2), found.p_value > 0.05
    (0.25, 0.25, True)
    """
    value = estimate.value
    if len(value) < 2 or not np.isfinite(value).all():
        return None
    smallest, largest = int(np.argmin(value)), int(np.argmax(value))
    width = float(value[largest] - value[smallest])
    known = not {"not_estimable", "suppressed"} & set(estimate.status)
    freedom, inflation = estimate.small_sample
    covariance = estimate.covariance * np.outer(inflation, inflation)
    if not (known and np.isfinite(covariance).all()):
        return Spread(smallest, largest, width, float("nan"), float("nan"))
    rng = np.random.default_rng(DRAW_SEED)
    roots, axes = np.linalg.eigh(covariance)
    normal = rng.normal(size=(DRAWS, len(value))) @ (axes * np.sqrt(np.maximum(roots, 0.0))).T
    least = float(freedom.min())
    scale = np.sqrt(rng.chisquare(least, size=DRAWS) / least) if np.isfinite(least) else 1.0
    ranges = np.ptp(normal, axis=1)
    reached = float((ranges / scale >= width).sum())
    return Spread(smallest, largest, width, float(ranges.mean()), (1.0 + reached) / (1.0 + DRAWS))


def spread_line(
    estimate: Estimate,
    names: Sequence[str],
    *,
    attribute: str,
    measure: str,
    estimator: str,
    higher_is_better: bool | None,
) -> SpreadLine | None:
    """Return one line of the table of spreads; `names` are the groups behind the labels."""
    found = spread_of(estimate)
    if found is None:
        return None
    small, large = names[found.smallest], names[found.largest]
    worst = "" if higher_is_better is None else small if higher_is_better else large
    numbers = (found.expected, found.value - found.expected, found.p_value)
    expected, excess, p = (x if np.isfinite(x) else None for x in numbers)
    return attribute, measure, estimator, small, large, worst, found.value, expected, excess, p


def table_of_spreads(lines: Sequence[SpreadLine]) -> tuple[Table, ...]:
    """Return the spreads as a table; nothing without any."""
    if not lines:
        return ()
    return (
        Table(
            name="spread",
            title="How far apart are the groups, beyond chance?",
            columns=SPREAD_COLUMNS,
            rows=tuple(lines),
            caption="Of the groups shown. Largest minus smallest is above zero even where all"
            " groups are alike: the excess over what their errors alone make of it is what counts,"
            f" and the p-value is the share of {DRAWS:,} draws under that null that reach it.",
        ),
    )
