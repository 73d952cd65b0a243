"""`EffectResult.compare_estimators`: other estimators of an effect, on the same nuisances."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from causalrec.effects._question import BY_ECONML, DR_BY_ECONML
from causalrec.effects._scores import Computation, population_words
from causalrec.effects._words import amount, interval_method
from causalrec.nuisances import PropensityModel
from causalrec.results import Result, Row, format_cell, multiplicity, rows_from_estimate
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.effects._question import Estimator
    from causalrec.inference import Estimate

NEED_MODELS = ("dr", "regression")
WEIGHTED = ("snips", "ips")
TOO_WIDE = (
    "Weighting takes the propensities as known, though they are estimated: its intervals, and those"
    " of its differences, are wide rather than narrow where the propensity model is right."
)
NO_INTERVAL = "no interval: the propensities' own error is not known"
BARE = (
    "Weighting takes the propensities as known, though they are estimated, and whom this effect"
    " speaks of depends on them: {names} have no interval, which could be too narrow. Those of"
    " differences are wide rather than narrow where the propensity model is right."
)
LEFT_OUT = (
    "Regression is left out: the outcome model is no linear fit whose own error is part of the"
    " interval, and an interval that takes it as known would be far too narrow. (estimator='dr'"
    " with the default outcome model has it.)"
)
NOT_TOLD = (
    "How far regression and the others differ is left out: its interval takes the outcome model as"
    " known, and that of a difference would be too narrow."
)


def compare_estimators(computation: Computation, whole: Result) -> Result:
    """Return the result of `EffectResult.compare_estimators`."""
    question = computation.question
    head, others = question.estimator, _others(computation)
    joint = _joint(computation, (head, *others))
    levels = rows_from_estimate(joint[[head, *others]], **_shared(computation))
    bare = _without_interval(computation, others)
    levels = tuple(_level(row, row.label in bare) for row in levels)
    told = head != "regression" or _error_of_models_known(computation)
    gaps = _gaps(computation, joint, head, others) if told else ()
    return Result(
        kind="estimators",
        title=f"{whole.title}: by other estimators",
        question="Do other estimators of the same effect say the same?",
        answer=_answer(levels, gaps, question.level),
        rows=(*levels, *gaps),
        notes=_notes(computation, others),
        family=multiplicity(len(gaps), "holm", "differences between estimators") if gaps else "",
        graph_dot=whole.graph_dot,
        adjustment=whole.adjustment,
        provenance=whole.provenance,
    )


def _others(computation: Computation) -> list[str]:
    """Return the estimators that stand beside the one that was asked."""
    head = computation.question.estimator
    usable = [
        *(_by_models(head) if _modelled(computation) else ()),
        *(WEIGHTED if head != "regression" else ()),
    ]
    if not _error_of_models_known(computation):
        usable = [name for name in usable if name != "regression"]
    return [name for name in usable if name != head]


def _modelled(computation: Computation) -> bool:
    found = computation.nuisances
    return found.exposed is not None and found.unexposed is not None


def _error_of_models_known(computation: Computation) -> bool:
    """Return whether the outcome models' own error is stacked: all that a regression has."""
    found = computation.nuisances
    return found.has("exposed") and found.has("unexposed")


def _taken_as_known(computation: Computation) -> bool:
    """Return whether propensities are estimated without their error being stacked."""
    estimated = isinstance(computation.population.propensity, PropensityModel)
    return estimated and not computation.nuisances.has("propensity")


def _without_interval(computation: Computation, others: list[str]) -> tuple[str, ...]:
    """Return the estimators whose interval could be too narrow with propensities as known.

    Estimating them takes from the error of a weighted mean its projection on their score, so that
    an interval without it is wide, if whom the mean is of does not depend on them (Hirano, Imbens
    & Ridder 2003). Of the exposed, the unexposed and the overlap it does, and that part may add.
    Between two estimators of one effect it cancels.
    """
    estimand = computation.question.estimand
    if estimand == "ate" or not _taken_as_known(computation):
        return ()
    return tuple(name for name in others if estimand == "overlap" or name in WEIGHTED)


def _level(row: Row, bare: bool) -> Row:
    """Return the row of an estimator, its interval left out where it would not hold."""
    nothing = {"standard_error": None, "lower": None, "upper": None, "p_value": None}
    update = {"estimator": row.label}
    return row.model_copy(
        update=update | nothing | {"note": NO_INTERVAL, "interval_method": ""} if bare else update
    )


def _by_models(head: str) -> tuple[str, ...]:
    """Return the estimators that lean on outcome models, and are not the head by another name."""
    if head in DR_BY_ECONML:
        return ("regression",)
    return () if head in BY_ECONML else NEED_MODELS


def _joint(computation: Computation, names: tuple[str, ...]) -> Estimate:
    """Return the estimates by all names together, so that their differences have intervals."""
    scores = [
        replace(
            computation, question=replace(computation.question, estimator=cast("Estimator", name))
        ).adjusted(computation.everybody(), 1)
        for name in names
    ]
    parts: list[list[Any]] = [[], [], [], []]
    for score in scores:
        weight = score.denominator if score.weight is None else score.weight
        for part, rows in zip(
            parts, (score.numerator, score.denominator, weight, score.design_residual), strict=True
        ):
            part.append(rows)
    joint = Score(*(np.hstack(part) for part in parts))
    return computation.from_score(joint, names) * computation.question.sign


def _shared(computation: Computation) -> dict[str, Any]:
    question = computation.question
    return {
        "metric": question.metric,
        "population": population_words(question),
        "estimator": "",
        "unit": "rows",
        "level": question.level,
        "interval_method": interval_method(question.sampled),
    }


def _gaps(
    computation: Computation, joint: Estimate, head: str, others: list[str]
) -> tuple[Row, ...]:
    if not others:
        return ()
    labels = {name: f"{name} - {head}" for name in others}
    gaps = joint.contrast({label: {name: 1.0, head: -1.0} for name, label in labels.items()})
    adjusted = gaps.correct_for_multiplicity("holm").tolist()
    rows = rows_from_estimate(
        gaps,
        **_shared(computation),
        p_adjusted=dict(zip(gaps.labels, adjusted, strict=True)),
        derived_from={label: (name, head) for name, label in labels.items()},
    )
    return tuple(row.model_copy(update={"estimator": row.label}) for row in rows)


def _answer(levels: tuple[Row, ...], gaps: tuple[Row, ...], level: float) -> str:
    parts = ", ".join(f"{_amount(row)} by {row.label}" for row in levels)
    if not gaps and len(levels) > 1:
        return f"Side by side the effect is {parts}. Whether they differ beyond chance is not told."
    if not gaps:
        return f"The effect is {parts}; nothing was fitted that another estimator could use."
    apart = [row for row in gaps if row.p_adjusted is not None and row.p_adjusted < 1.0 - level]
    if apart:
        worst = max(apart, key=lambda row: abs(row.value or 0.0))
        verdict = (
            f"They disagree beyond chance ({worst.label}: {amount(worst)}): one of the models they"
            " lean on is wrong, the outcome's or the propensity's."
        )
    else:
        verdict = "They do not differ beyond chance. All would miss an unmeasured confounder alike."
    return f"Side by side the effect is {parts}. {verdict}"


def _amount(row: Row) -> str:
    return f"{format_cell(row.value)} ({NO_INTERVAL})" if row.note == NO_INTERVAL else amount(row)


def _notes(computation: Computation, others: list[str]) -> tuple[str, ...]:
    head = computation.question.estimator
    modelled, known = _modelled(computation), _error_of_models_known(computation)
    listed = [
        "All estimators use the same propensities and outcome models, those of the estimate that"
        " was asked, so that what differs is how they lean on them: regression on the outcome"
        " models alone, ips and snips on the propensities alone, dr on either."
    ]
    if not modelled:
        listed.append(
            "No outcome models were fitted, so that neither dr nor regression stands here"
            " (estimator='dr' has them all)."
        )
    elif not known and (head == "regression" or _by_models(head)):
        listed.append(NOT_TOLD if head == "regression" else LEFT_OUT)
    if head == "regression":
        listed.append("No propensities were asked for, so that no weighting stands here.")
    bare = _without_interval(computation, others)
    if bare:
        listed.append(BARE.format(names=" and ".join(bare)))
    elif _taken_as_known(computation) and set(others) & set(WEIGHTED):
        listed.append(TOO_WIDE)
    return tuple(listed)
