"""What the metrics without weights add to an evaluation: values, or why there are none."""

from __future__ import annotations

from collections.abc import Sequence

from causalrec.evaluation._displays import DisplayValues
from causalrec.evaluation._evaluation_options import EvaluationQuestion
from causalrec.evaluation._evaluation_rows import Measured
from causalrec.evaluation._whole_lists import ListValues, declined, terms_of
from causalrec.evaluation.metrics import Metric
from causalrec.results import Row


def declined_rows(metrics: Sequence[Metric], question: EvaluationQuestion) -> list[Row]:
    """Return a row a metric and model that says why there is no number."""
    several = len(question.models) > 1
    return [
        Row(
            label=f"{model}: {metric.label}" if several else metric.label,
            metric=metric.label,
            estimator=question.estimators[0],
            population="recorded cells",
            status="not_estimable",
            note=declined(metric),
        )
        for metric in metrics
        for model in question.models
    ]


def measured_lists(
    values: ListValues, metrics: Sequence[Metric], question: EvaluationQuestion
) -> Measured:
    """Return the metrics of whole lists as measured terms."""
    estimator = "plain" if question.uniform else "regression"
    population = (
        "recorded cells of the slice" if question.uniform else "expected gains of supported cells"
    )
    return Measured(
        estimate=values.estimate,
        terms=terms_of(metrics, question.models, question.gain),
        estimators=(estimator,),
        populations={estimator: population},
        counts={estimator: values.n_users},
        unit="users",
        name={m.label: f"{m.label}{values.suffix}" for m in metrics},
        higher_is_better={m.label: m.definition.higher_is_better for m in metrics},
    )


def list_note(values: ListValues, metrics: Sequence[Metric]) -> str:
    """Return what is said beside them."""
    names = ", ".join(metric.label for metric in metrics)
    note = f"{names}: {values.n_without:,} users without a positive gain are left out."
    if "outcome model" not in values.suffix:
        return note
    return (
        f"{note} All members compete, and outcomes are drawn from the outcome model, independent"
        " given their means; users count by how often they have a positive gain. It is that"
        " model's opinion: the"
        " interval leaves out that model's error, and no verdict is drawn from it."
    )


def measured_displays(values: DisplayValues, question: EvaluationQuestion) -> Measured:
    """Return a metric of what is listed as measured terms."""
    metric = values.terms[0].definition
    unseen = "unseen " if question.train is not None else ""
    return Measured(
        estimate=values.estimate,
        terms=values.terms,
        estimators=("lists",),
        populations={"lists": f"the first {metric.cutoff} {unseen}eligible items of each user"},
        counts={"lists": values.n_users},
        unit="users",
        name={metric.label: metric.label},
        higher_is_better={metric.label: metric.definition.higher_is_better},
    )
