"""Rates by category with their joint error, their ratios to the highest, and the usual screens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import stats

from causalrec.audits._assessments import Assessments
from causalrec.audits._gaps import any_difference
from causalrec.audits._impact_groups import Categories
from causalrec.audits._log_ratios import log_ratios
from causalrec.inference import Estimate
from causalrec.scores import Score

Codes = npt.NDArray[np.int64]
FOUR_FIFTHS = 0.8


@dataclass(frozen=True)
class Ratio:
    """An impact ratio with its interval and its screens.

    Attributes
    ----------
    value : float
    standard_error, lower, upper : float or None
        None where a category has too few clusters, or nobody selected.
    deviations, fisher : float
        The difference of the rates in standard deviations, and Fisher's exact p: both take the
        assessments as independent.
    """

    value: float
    standard_error: float | None
    lower: float | None
    upper: float | None
    deviations: float
    fisher: float


@dataclass(frozen=True, eq=False)
class Rated:
    """The categories of one table with their counts, rates and ratios.

    Attributes
    ----------
    categories : Categories
    n, selected : int64 arrays (categories,)
        Assessments, and those selected.
    n_all, n_unknown, selected_unknown : int
    rates : Estimate
        Labelled by `categories.label`.
    highest : int or None
        Category with the highest rate of those compared.
    excluded : frozenset of int
        Shown categories with too small a share for a ratio.
    ratios : mapping of category to Ratio
        Of the shown and compared ones, without the highest.
    any_difference : tuple
        F, degrees of freedom, denominator's, p; of None where it cannot be tested.
    scoring : bool
    """

    categories: Categories
    n: Codes
    selected: Codes
    n_all: int
    n_unknown: int
    selected_unknown: int
    rates: Estimate
    highest: int | None
    excluded: frozenset[int]
    ratios: Mapping[int, Ratio]
    any_difference: tuple[float | None, float | None, float | None, float | None]
    scoring: bool

    @property
    def shown(self) -> list[int]:
        """Categories that may be shown."""
        return [c for c in range(len(self.n)) if c not in self.categories.hidden]

    @property
    def compared(self) -> list[int]:
        """Categories that have a ratio."""
        if self.highest is None:
            return []
        return [c for c in self.shown if c not in self.excluded]


def rated_categories(
    categories: Categories,
    codes: Codes,
    assessments: Assessments,
    clusters: Mapping[str, Codes],
    smallest_share: float,
    level: float,
) -> Rated:
    """Return counts, rates and ratios of one table.

    Parameters
    ----------
    categories : Categories
    codes : int64 array (n,)
        Category of each assessment, -1 for none.
    assessments : Assessments
    clusters : mapping from dimension to int64 codes (n,)
    smallest_share : float
    level : float
    """
    size = len(categories.levels)
    known = codes >= 0
    n = np.bincount(codes[known], minlength=size)
    selected = np.bincount(codes[known], assessments.selected[known], size).astype(np.int64)
    rates = _rates(categories, codes, assessments, clusters, level)
    shown = [c for c in range(size) if c not in categories.hidden]
    excluded = frozenset(c for c in shown if n[c] < smallest_share * len(codes))
    compared = [c for c in shown if c not in excluded]
    highest = max(compared, key=lambda c: (selected[c] / n[c], -c), default=None)
    if highest is not None and (len(compared) < 2 or selected[highest] == 0):
        highest = None
    ratios: dict[int, Ratio] = {}
    tested: tuple[float | None, float | None, float | None, float | None] = (None,) * 4
    if highest is not None:
        ratios, tested = _ratios(categories, rates, n, selected, compared, highest, level)
    return Rated(
        categories=categories,
        n=n,
        selected=selected,
        n_all=len(codes),
        n_unknown=int((~known).sum()),
        selected_unknown=int(assessments.selected[~known].sum()),
        rates=rates,
        highest=highest,
        excluded=excluded,
        ratios=ratios,
        any_difference=tested,
        scoring=assessments.near_median is not None,
    )


def _rates(
    categories: Categories,
    codes: Codes,
    assessments: Assessments,
    clusters: Mapping[str, Codes],
    level: float,
) -> Estimate:
    """Return the rates; of a scoring tool, with the error of the sample median.

    A group's rate above an estimated median moves with it by the group's density there, and the
    median with everybody's share above it by one over the density of all: so the influence is
    that of rate_g - (f_g / f) (rate of everybody).
    """
    labels = [categories.label(c) for c in range(len(categories.levels))]
    score = Score(assessments.selected)
    rates = Estimate.from_score(
        score, clusters, labels, groups=codes, n_groups=len(labels), level=level
    )
    if assessments.near_median is None:
        return rates
    everybody = Estimate.from_score(score, clusters, ["everybody"], level=level)
    known = codes >= 0
    near = np.bincount(codes[known], assessments.near_median[known], len(labels))
    density = near / np.maximum(np.bincount(codes[known], minlength=len(labels)), 1)
    joint = Estimate.stack([rates, everybody])
    centred = joint.contrast(np.column_stack([np.eye(len(labels)), -density]), labels)
    return centred.shift(rates.value - centred.value)


def _ratios(
    categories: Categories,
    rates: Estimate,
    n: Codes,
    selected: Codes,
    compared: list[int],
    highest: int,
    level: float,
) -> tuple[dict[int, Ratio], tuple[float | None, float | None, float | None, float | None]]:
    """Return the ratios to the highest rate, under a band that covers all pairs."""
    positive = [c for c in compared if selected[c] > 0]
    pairs = {}
    for a, b in combinations(positive, 2):
        own, other = (b, a) if a == highest else (a, b)
        pairs[f"{own}/{other}"] = (categories.label(own), categories.label(other))
    logs = band = None
    tested: tuple[float | None, float | None, float | None, float | None] = (None,) * 4
    if pairs:
        logs = log_ratios(rates, pairs)
        band = dict(zip(logs.labels, logs.simultaneous_interval(level).tolist(), strict=True))
        others = [f"{c}/{highest}" for c in positive if c != highest]
        if len(positive) == len(compared):
            tested = any_difference(logs[others])
    found = {}
    for c in compared:
        if c == highest:
            continue
        value = float((selected[c] / n[c]) / (selected[highest] / n[highest]))
        error = lower = upper = None
        if logs is not None and band is not None and selected[c] > 0:
            low, high = band[f"{c}/{highest}"]
            if np.isfinite(low) and np.isfinite(high):
                lower, upper = float(np.exp(low)), float(np.exp(high))
                error = value * float(logs[f"{c}/{highest}"].standard_error[0])
        screens = screen(int(n[c]), int(selected[c]), int(n[highest]), int(selected[highest]))
        found[c] = Ratio(value, error, lower, upper, *screens)
    return found, tested


def screen(n: int, selected: int, n_highest: int, selected_highest: int) -> tuple[float, float]:
    """Return the difference of two rates in standard deviations, and Fisher's exact p.

    Both take the assessments as independent, as the screens of 29 CFR 1607.4 D usually do.

    Examples
    --------
    >>> [round(number, 3) for number in screen(50, 10, 50, 20)]
    [-2.182, 0.049]
    """
    pooled = (selected + selected_highest) / (n + n_highest)
    spread = np.sqrt(pooled * (1.0 - pooled) * (1.0 / n + 1.0 / n_highest))
    gap = selected / n - selected_highest / n_highest
    table = np.array([[selected, n - selected], [selected_highest, n_highest - selected_highest]])
    fisher = float(stats.fisher_exact(table)[1])
    return (float(gap / spread) if spread > 0 else 0.0), fisher
