"""The two sides of a mitigation: how good the lists are, and how far they are from fair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from causalrec.inference import Estimate

Span = tuple[float, float, float]
"""Value, lower and upper end."""


@dataclass(frozen=True, eq=False)
class Axis:
    """One quantity of every model, and its difference between every two of them.

    Attributes
    ----------
    name : str
    higher_is_better : bool
    values : mapping of model to (value, lower, upper)
        Pointwise intervals.
    pairs : mapping of (model, other) to (difference, lower, upper)
        One order of each pair; the intervals hold for all pairs together.
    method : str
        How the intervals of the pairs are made.
    """

    name: str
    higher_is_better: bool
    values: Mapping[str, Span]
    pairs: Mapping[tuple[str, str], Span]
    method: str

    def difference(self, first: str, second: str) -> Span:
        """Return the first minus the second, whatever the order it is kept in."""
        if (first, second) in self.pairs:
            return self.pairs[first, second]
        value, lower, upper = self.pairs[second, first]
        return -value, -upper, -lower

    def gain(self, first: str, second: str) -> Span:
        """Return by how much the first is better than the second."""
        if self.higher_is_better:
            return self.difference(first, second)
        return self.difference(second, first)

    def surely_better(self, first: str, second: str) -> bool:
        """Return whether the first is better beyond chance."""
        return self.gain(first, second)[1] > 0.0


def linear_axis(
    name: str, estimate: Estimate, *, higher_is_better: bool, level: float, pair_level: float
) -> Axis:
    """Return the axis of numbers that are compared by subtraction.

    Parameters
    ----------
    name : str
    estimate : Estimate
        Labelled by model.
    higher_is_better : bool
    level, pair_level : float
        Of each value's interval; of all the pairs' together.
    """
    pairs = list(combinations(estimate.labels, 2))
    gaps = estimate.contrast({f"{b} - {a}": {b: 1.0, a: -1.0} for a, b in pairs})
    band = gaps.simultaneous_interval(pair_level)
    return Axis(
        name,
        higher_is_better,
        spans(estimate, level),
        {
            (b, a): (float(value), float(lower), float(upper))
            for (a, b), value, (lower, upper) in zip(pairs, gaps.value, band, strict=True)
        },
        f"sup-t over {len(pairs)} pairs" if len(pairs) > 1 else "t",
    )


def distance_axis(name: str, gap: Estimate, *, level: float, pair_level: float) -> Axis:
    """Return the axis of distances |x| from a target, where gaps x are estimated.

    |a| - |b| is sign(s t) min(|s|, |t|) with s = a - b and t = a + b, both linear in the gaps. Over
    the rectangle of a simultaneous band of all s and t its extremes lie in the corners: the
    interval holds however near the target the gaps are, where a delta method would not.

    Parameters
    ----------
    name : str
    gap : Estimate
        Labelled by model; 0 is on target.
    level, pair_level : float
    """
    pairs = list(combinations(gap.labels, 2))
    both = gap.contrast(
        {f"{b} - {a}": {b: 1.0, a: -1.0} for a, b in pairs}
        | {f"{b} + {a}": {b: 1.0, a: 1.0} for a, b in pairs}
    )
    band = both.simultaneous_interval(pair_level)
    found: dict[tuple[str, str], Span] = {}
    for at, (a, b) in enumerate(pairs):
        difference, total = band[at], band[at + len(pairs)]
        value = distance_difference(float(both.value[at]), float(both.value[at + len(pairs)]))
        corners = [distance_difference(s, t) for s in difference for t in total]
        found[b, a] = (value, float(min(corners)), float(max(corners)))
    values = {
        model: (abs(value), max(0.0, lower, -upper), max(abs(lower), abs(upper)))
        for model, (value, lower, upper) in spans(gap, level).items()
    }
    method = f"projected from a sup-t band over {2 * len(pairs)} sums and differences of gaps"
    return Axis(name, False, values, found, method)


def distance_difference(difference: float, total: float) -> float:
    """Return |a| - |b| from a - b and a + b.

    Examples
    --------
    >>> [distance_difference(a - b, a + b) for a, b in [(3, 1), (-3, 1), (1, -3), (-1, -3)]]
    [2, 2, -2, -2]
    """
    size = min(abs(difference), abs(total))
    return size if difference * total > 0 else -size if difference * total < 0 else 0 * size


def spans(estimate: Estimate, level: float) -> dict[str, Span]:
    """Return value, lower and upper end of every label."""
    ends = estimate.interval(level)
    return {
        label: (float(value), float(lower), float(upper))
        for label, value, (lower, upper) in zip(estimate.labels, estimate.value, ends, strict=True)
    }


@dataclass(frozen=True)
class Verdict:
    """Where a model stands: who dominates it, and whether that is beyond chance.

    Attributes
    ----------
    words : str
    on_frontier : bool
        No other model is at least as good on both axes, in the point estimates.
    """

    words: str
    on_frontier: bool


def verdicts(models: Sequence[str], accuracy: Axis, fairness: Axis) -> dict[str, Verdict]:
    """Return where each model stands on the frontier of two axes.

    Notes
    -----
    A model is dominated beyond chance where another is better on both axes beyond chance. It is on
    the frontier beyond chance where it beats each of the others beyond chance on one axis at least.
    """
    found = {}
    for own in models:
        others = [model for model in models if model != own]
        surely = [
            o for o in others if accuracy.surely_better(o, own) and fairness.surely_better(o, own)
        ]
        points = [o for o in others if _dominates(o, own, accuracy, fairness)]
        safe = all(accuracy.surely_better(own, o) or fairness.surely_better(own, o) for o in others)
        if surely:
            words = f"dominated by {listed(surely)}, beyond chance"
        elif points:
            words = f"dominated by {listed(points)}, within chance"
        else:
            words = f"on the frontier, {'beyond' if safe else 'within'} chance"
        found[own] = Verdict(words, not points)
    return found


def listed(names: Sequence[str]) -> str:
    """Return names in a sentence.

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _dominates(first: str, second: str, accuracy: Axis, fairness: Axis) -> bool:
    gains = [axis.gain(first, second)[0] for axis in (accuracy, fairness)]
    return bool(np.min(gains) >= 0.0 and np.max(gains) > 0.0)
