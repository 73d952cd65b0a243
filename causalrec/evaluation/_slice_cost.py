"""What a randomised slice costs: the outcome under the log's policy minus that under chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from causalrec.evaluation._recommenders import FloatArray
from causalrec.inference import Estimate
from causalrec.results import format_cell
from causalrec.scores import Score

LABEL = "cost of one"
NOTHING = 1e-9
"""Below this a cost is the rounding of sums."""


def cost_of(
    outcome: FloatArray, weight: FloatArray, clusters: Mapping[str, Any], level: float
) -> Estimate:
    """Return the mean outcome of the log's rows minus that of rows drawn at random.

    Parameters
    ----------
    outcome, weight : float64 (n,)
    clusters : mapping of dimension to int array (n,)
    level : float
    """
    both = np.column_stack([outcome, weight * outcome])
    share = np.column_stack([np.ones(len(weight)), weight])
    labels = ["under the log's policy", "at random"]
    joint = Estimate.from_score(Score(both, share), clusters, labels, level=level)
    found = joint.difference(labels[0], labels[1], LABEL)
    return found.shift(-found.value) if abs(float(found)) < NOTHING else found


def cost_words(cost: Estimate | None, cells: int, unit: str) -> str:
    """Return the cost as sentences.

    Parameters
    ----------
    cost : Estimate or None
        Of one cell.
    cells : int
    unit : str
    """
    if cost is None:
        return " What that costs, the log does not say."
    value, (lower, upper) = float(cost), cost.interval()[0].tolist()
    one = unit.removesuffix("s")
    if value == 0.0:
        return (
            f" A {one} drawn at random yields what one of the log's policy does: it costs nothing."
        )
    how = "less" if value > 0 else "more"
    told = (
        f" A {one} drawn at random yields {format_cell(abs(value))} {how} than one of the log's"
        f" policy, so the slice costs {format_cell(cells * value)}"
    )
    if not np.isfinite(lower):
        return told + "."
    return told + f" [{format_cell(cells * lower)}, {format_cell(cells * upper)}] in all."
