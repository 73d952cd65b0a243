"""What a randomised slice costs: the outcome under the log's policy minus that under chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from causalrec.inference import Estimate
from causalrec.results import format_cell
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.evaluation._slice_questions import RowsAsked

LABEL = "cost of one"


def cost_of(rows: RowsAsked, sampled: Sequence[str], level: float) -> Estimate:
    """Return the mean outcome of the log's rows minus that of rows drawn at random.

    Parameters
    ----------
    rows : RowsAsked
    sampled : sequence of str
    level : float
    """
    both = np.column_stack([rows.outcome, rows.weight * rows.outcome])
    share = np.column_stack([np.ones(len(rows.weight)), rows.weight])
    clusters = {"user": rows.users, "item": rows.items}
    joint = Estimate.from_score(
        Score(both, share),
        {name: clusters[name] for name in sampled},
        ["under the log's policy", "at random"],
        level=level,
    )
    return joint.difference("under the log's policy", "at random", LABEL)


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
        return " What that costs, a log that is random itself does not say."
    value, (lower, upper) = float(cost), cost.interval()[0].tolist()
    one = unit.removesuffix("s")
    how = "less" if value > 0 else "more"
    told = (
        f" A {one} drawn at random yields {format_cell(abs(value))} {how} than one of the log's"
        f" policy, so the slice costs {format_cell(cells * value)}"
    )
    if not np.isfinite(lower):
        return told + "."
    return told + f" [{format_cell(cells * lower)}, {format_cell(cells * upper)}] in all."
