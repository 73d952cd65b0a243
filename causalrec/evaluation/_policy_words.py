"""What stands beside a policy value: its assumptions, the weights, and the answer in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from causalrec.evaluation._policies import TargetPolicy
from causalrec.evaluation._recommenders import FloatArray
from causalrec.inference import Estimate
from causalrec.results import Assumption, Row, Table, format_cell
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog


def never_logged_mass(log: InteractionLog, target: TargetPolicy) -> float | None:
    """Return the target policy's mass on items that the log never shows; None if not known."""
    if target.of_all is None:
        return None
    absent = np.bincount(log.item_codes, minlength=log.n_items) == 0
    return float(target.of_all[:, absent].sum(axis=1).mean())


def weights_table(
    log: InteractionLog, unclipped: FloatArray, weight: FloatArray, target: TargetPolicy
) -> Table:
    """Return effective sample size, extremes and support as a table."""
    squares = float(np.square(weight).sum())
    lines: list[tuple[str | float | int | bool | None, ...]] = [
        ("rows", log.n_rows),
        ("effective sample size", float(weight.sum() ** 2 / squares) if squares else 0.0),
        ("mean weight (should be 1)", float(unclipped.mean())),
        ("largest weight", float(unclipped.max())),
        ("share of the weight in the largest 1 % of rows", _top_share(weight)),
        ("share of weights clipped", float((weight < unclipped).mean())),
        ("smallest logging propensity", float(np.min(_logged(log)))),
        ("policy mass on items never logged", never_logged_mass(log, target)),
    ]
    return Table(
        name="weights",
        title="Weights of the target policy",
        columns=("quantity", "value"),
        rows=tuple(lines),
        caption="The mean weight estimates the policy's mass on what the logging policy can show.",
    )


def _logged(log: InteractionLog) -> FloatArray:
    assert log.logging_propensity is not None
    return log.logging_propensity


def _top_share(weight: FloatArray) -> float:
    total = float(weight.sum())
    top = max(1, len(weight) // 100)
    return float(np.sort(weight)[-top:].sum()) / total if total else 0.0


def assumptions_of(
    log: InteractionLog,
    unclipped: FloatArray,
    target: TargetPolicy,
    clusters: npt.NDArray[np.integer],
    level: float,
) -> tuple[Assumption, ...]:
    """Return what the value rests on, overlap tested by the mean weight."""
    uniform = log.randomized is not None and bool(log.randomized.all())
    found = [
        Assumption(
            name="known logging propensities",
            statement=f"column {log.columns.logging_propensity!r} holds the probabilities with"
            " which the logging policy chose",
            status="by design",
        ),
        _overlap(log, unclipped, target, clusters, level),
        Assumption(
            name="no adaptive logging",
            statement="the logging policy did not change with the outcomes of this log; where it"
            " learned from them, the logged propensities still remove the bias, but the interval"
            " treats the draws as independent between clusters",
            status="by design" if uniform else "untestable",
        ),
    ]
    if log.slate is not None or log.position is not None:
        found.append(
            Assumption(
                name="no interference within a list",
                statement="the outcome of a place depends on its own item only (item-position"
                " model), so places are weighted one by one",
                status="untestable",
            )
        )
    return tuple(found)


def _overlap(
    log: InteractionLog,
    unclipped: FloatArray,
    target: TargetPolicy,
    clusters: npt.NDArray[np.integer],
    level: float,
) -> Assumption:
    """Test the mean weight against one, and look for items that the log never shows."""
    score = Score(numerator=unclipped[:, None], denominator=np.ones((len(unclipped), 1)))
    mean = Estimate.from_score(score, clusters={"cluster": clusters}, sampled=("cluster",))
    lower, upper = mean.interval(level)[0]
    missing = never_logged_mass(log, target)
    evidence = f"The mean weight is {float(mean):.3f} [{lower:.3f}, {upper:.3f}]."
    if missing:
        evidence += f" {missing:.2%} of the policy's mass is on items that the log never shows."
    if lower > 1.0:
        evidence += " It is above 1, which no policy explains: the logged propensities are too low."
    off = bool(np.isfinite(upper) and not lower <= 1.0 <= upper)
    return Assumption(
        name="overlap",
        statement="the logging policy can show whatever the target policy shows; then the mean"
        " weight is 1",
        status="violated" if off else "tested",
        evidence=evidence,
    )


def answer_of(rows: Sequence[Row], words: str, estimator: str) -> str:
    """Return the answer in two sentences."""
    value, logged, gap = rows[0], rows[-2], rows[-1]
    text = f"Under {words} an impression is worth {_with_interval(value)} by {estimator.upper()}"
    text += f" (effective sample size {format_cell(value.effective_sample_size)})."
    text += f" The logging policy's own mean is {_with_interval(logged)}"
    if gap.lower is None or gap.upper is None:
        return text + "; there are too few clusters for an interval on the difference."
    if gap.lower <= 0.0 <= gap.upper:
        return text + f"; the two cannot be told apart (difference {_with_interval(gap)})."
    return text + f"; the difference is {_with_interval(gap)}."


def _with_interval(row: Row) -> str:
    if row.lower is None or row.upper is None:
        return f"{format_cell(row.value)} (no interval)"
    return f"{format_cell(row.value)} [{format_cell(row.lower)}, {format_cell(row.upper)}]"
