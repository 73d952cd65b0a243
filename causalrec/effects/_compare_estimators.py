"""`EffectResult.compare_estimators`: other estimators of an effect, on the same nuisances."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from causalrec.effects._question import BY_ECONML, DR_BY_ECONML
from causalrec.effects._scores import Computation, population_words
from causalrec.effects._words import amount, interval_method
from causalrec.results import Result, Row, multiplicity, rows_from_estimate
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.effects._question import Estimator
    from causalrec.inference import Estimate

NEED_MODELS = ("dr", "regression")
WEIGHTED = ("snips", "ips")


def compare_estimators(computation: Computation, whole: Result) -> Result:
    """Return the result of `EffectResult.compare_estimators`."""
    question = computation.question
    found = computation.nuisances
    modelled = found.exposed is not None and found.unexposed is not None
    head = question.estimator
    usable = [
        *(_by_models(head) if modelled else ()),
        *(WEIGHTED if head != "regression" else ()),
    ]
    others = [name for name in usable if name != head]
    joint = _joint(computation, (head, *others))
    levels = rows_from_estimate(joint[[head, *others]], **_shared(computation))
    levels = tuple(row.model_copy(update={"estimator": row.label}) for row in levels)
    gaps = _gaps(computation, joint, head, others)
    return Result(
        kind="estimators",
        title=f"{whole.title}: by other estimators",
        question="Do other estimators of the same effect say the same?",
        answer=_answer(levels, gaps, question.level),
        rows=(*levels, *gaps),
        notes=_notes(modelled, question.estimator),
        family=multiplicity(len(gaps), "holm", "differences between estimators") if gaps else "",
        graph_dot=whole.graph_dot,
        adjustment=whole.adjustment,
        provenance=whole.provenance,
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
    parts = ", ".join(f"{amount(row)} by {row.label}" for row in levels)
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


def _notes(modelled: bool, estimator: str) -> tuple[str, ...]:
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
    if estimator == "regression":
        listed.append("No propensities were asked for, so that no weighting stands here.")
    return tuple(listed)
