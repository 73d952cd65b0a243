"""What stands beside a policy value: the weights, the caveats, and the answer in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from causalrec.evaluation._policies import TargetPolicy
from causalrec.evaluation._policy_adaptive import Clock
from causalrec.evaluation._policy_assumptions import never_logged_mass
from causalrec.evaluation._policy_estimators import (
    RECIPES,
    Replay,
    effective_size,
    weights_of,
)
from causalrec.evaluation._recommenders import FloatArray
from causalrec.results import Row, Table, format_cell

if TYPE_CHECKING:
    from causalrec.evaluation._policy_options import PolicyOptions
    from causalrec.evaluation._policy_tuning import Chosen
    from causalrec.interactions import InteractionLog

Cell = str | float | int | bool | None


def weights_table(
    log: InteractionLog,
    replay: Replay,
    weight: FloatArray,
    target: TargetPolicy,
    logging: FloatArray | None,
) -> Table:
    """Return effective sample size, extremes and support as a table.

    Parameters
    ----------
    weight : float64 (n_rows,)
        The weights that the headline uses.
    logging : float64 (n_rows, n_items) or None
        The logging policy's probabilities of all items.
    """
    ratio, mean = replay.ratio, float(replay.ratio.mean())
    changed = float(np.count_nonzero(weight != ratio)) / len(ratio)
    used = weight if replay.time_weight is None else weight * replay.time_weight
    lines: list[tuple[Cell, ...]] = [
        ("rows", log.n_rows),
        ("effective sample size", effective_size(used)),
        ("mean weight (should be 1)", mean),
        ("largest weight", float(ratio.max())),
        ("share of the weight in the largest 1 % of rows", _top_share(used)),
        ("share of weights changed (clipped, switched, shrunk)", changed),
        ("smallest logging propensity", float(np.min(_logged(log)))),
        ("policy mass on items never logged", never_logged_mass(log, target)),
        ("policy mass without support, by 1 - mean weight", max(1.0 - mean, 0.0)),
    ]
    if logging is not None and target.of_all is not None:
        beyond = float(np.where(logging > 0.0, 0.0, target.of_all).sum()) / log.n_rows
        lines.append(("policy mass that the logging policy cannot show", beyond))
    if replay.time_weight is not None:
        held = replay.time_weight
        lines.append(("smallest time weight, the largest being 1", float(held.min())))
        lines.append(("effective sample size of the time weights alone", effective_size(held)))
    return Table(
        name="weights",
        title="Weights of the target policy",
        columns=("quantity", "value"),
        rows=tuple(lines),
        caption="The mean weight estimates the policy's mass on what the logging policy can show;"
        " see the assumption 'overlap' for its interval.",
    )


def tuning_table(chosen: Mapping[str, Chosen]) -> list[Table]:
    """Return what the rules chose among."""
    lines: list[tuple[Cell, ...]] = [
        (name, c, value, error, bound, c == found.parameter)
        for name, found in chosen.items()
        for c, value, error, bound in found.candidates
    ]
    if not lines:
        return []
    columns = ("estimator", "parameter", "value", "standard error", "bias bound", "chosen")
    return [
        Table(
            name="tuning",
            title="Parameters that were tried",
            columns=columns,
            rows=tuple(lines),
            caption="Values on this log, from the heaviest hand on the weights to none.",
        )
    ]


def _logged(log: InteractionLog) -> FloatArray:
    assert log.logging_propensity is not None
    return log.logging_propensity


def _top_share(weight: FloatArray) -> float:
    total = float(weight.sum())
    top = max(1, len(weight) // 100)
    if not total:
        return 0.0
    return float(np.partition(weight, len(weight) - top)[-top:].sum()) / total


def answer_of(rows: Sequence[Row], words: str, options: PolicyOptions, head: Chosen) -> str:
    """Return the answer in two sentences, and what the interval of the first leaves out."""
    return _compared(rows, words, options) + _of_changed_weights(head)


def _of_changed_weights(head: Chosen) -> str:
    if head.parameter is None:
        return ""
    return (
        f" Weights are changed ({head.beside}): the interval does not allow for the bias that this"
        " accepts."
    )


def _compared(rows: Sequence[Row], words: str, options: PolicyOptions) -> str:
    value, logged, gap = rows[0], rows[-2], rows[-1]
    text = f"Under {words} {options.unit} is worth {_with_interval(value)}"
    text += f" by {RECIPES[options.names[0]].words}"
    text += f" (effective sample size {value.effective_sample_size or 0.0:,.0f})."
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


def notes_of(
    replay: Replay,
    chosen: Mapping[str, Chosen],
    options: PolicyOptions,
    clock: Clock | None,
    *,
    default_model: bool,
) -> tuple[str, ...]:
    """Return the caveats."""
    notes = [
        f"The value is a mean outcome of {options.unit}; what the policy does to later visits"
        + (", and to the items beside it, is not in it." if options.slate_model is None
           else " is not in it.")
    ]  # fmt: skip
    for name, found in chosen.items():
        if RECIPES[name].transform == "clip" and found.parameter is not None:
            share = float((replay.ratio > found.parameter).mean())
            notes.append(
                f"Weights above {found.parameter:.4g} were set to it in {share:.2%} of the rows:"
                f" {name} is biased towards what the logging policy shows."
            )
        elif found.parameter is not None:
            lost = 1.0 - float(weights_of(replay, name, found.parameter).sum() / replay.ratio.sum())
            notes.append(
                f"{name} gives up {lost:.2%} of the sum of weights; where the reward model is"
                " wrong there, it is biased."
            )
        if found.rule:
            notes.append(f"{name}: {found.words}.")
    if any(RECIPES[name].uses_model for name in options.names):
        notes.append(_model_words(options, default_model, clock))
    return tuple(notes)


def _model_words(options: PolicyOptions, default_model: bool, clock: Clock | None) -> str:
    # Estimators that change weights lean on the model where they do; they say so themselves.
    known = ", ".join(
        n for n in options.names if RECIPES[n].uses_model and RECIPES[n].transform == "clip"
    )
    if not default_model:
        text = "The reward model was given; keep the rows it was fitted on apart"
        return text + ("." if clock is None else ", and fit it on earlier rows only.")
    rows = "the other folds" if clock is None else "earlier rows"
    place = "" if options.slate_model is None else ", place by place"
    text = f"The reward model is the item means of {rows}{place}, shrunk to the overall mean"
    if not known:
        return text + "."
    return text + f"; with logged propensities it decides the variance only (of {known})."
