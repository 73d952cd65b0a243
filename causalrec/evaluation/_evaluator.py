"""How an evaluation is computed: what it needs is settled here, then every metric runs once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.errors import StudyError
from causalrec.evaluation import _assumptions
from causalrec.evaluation._cells import CellSource
from causalrec.evaluation._engine import NEEDS_MEAN, NEEDS_WEIGHT, Sums
from causalrec.evaluation._evaluation_options import EvaluationQuestion, config_of
from causalrec.evaluation._evaluation_rows import (
    Measured,
    difference_rows,
    evaluation_answer,
    measured_sums,
    value_rows,
)
from causalrec.evaluation._held_out import held_out
from causalrec.evaluation._imputation import Imputation, imputation_of, refuse_the_evaluated
from causalrec.evaluation._ndcg import (
    DECLINED,
    ListValues,
    from_outcome_model,
    on_slice,
    terms_of,
)
from causalrec.evaluation._plan import Plan
from causalrec.evaluation._setup import (
    Weighting,
    identify_mean,
    slice_rate,
    weighting,
)
from causalrec.evaluation._shadow_assumptions import shadow_assumptions
from causalrec.evaluation._terms import ListTerm, LossTerm, Term
from causalrec.evaluation.metrics import Metric
from causalrec.inference import Estimate
from causalrec.results import Assumption, Row, Table, multiplicity, provenance

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What a result is made of."""

    content: dict[str, Any]
    plan: Plan | None
    estimate: Estimate | None


@dataclass(frozen=True, eq=False)
class Evaluator:
    """A question with its weights and its outcome model."""

    question: EvaluationQuestion
    weights: Weighting | None
    source: CellSource
    imputation: Imputation | None

    @classmethod
    def of(cls, question: EvaluationQuestion) -> Evaluator:
        """Resolve the propensities, fit what has to be fitted."""
        log = question.log
        ranked = any(m.scope == "list" and m.additive for m in question.metrics)
        if ranked and log.kind == "candidates" and not log.one_row_per_cell:
            raise StudyError(
                "Some (user, item) pairs have several candidate rows, so a list would hold an item"
                " twice. Evaluate 'mse' and 'mae', or keep one row a pair."
            )
        weights = None
        if not question.uniform and NEEDS_WEIGHT & set(question.estimators):
            weights = _weights(question)
        imputation = _imputation(question, weights)
        source = CellSource(
            log,
            propensity=_uniform_propensity(log) if question.uniform else _given(weights),
            support=None if weights is None else weights.support,
            contenders=question.contenders,
            rank=ranked,
            imputation=imputation,
            excluded=question.train,
            clip=question.clip,
        )
        return cls(question, weights, source, imputation)

    def answer(self) -> Evaluated:
        """Compute every metric and put the result together."""
        measured, declined, notes = [], [], []
        plan, sums = self._additive()
        if plan is not None and sums is not None:
            measured.append(measured_sums(plan, sums, self.populations(sums)))
        lists = [m for m in self.question.metrics if not m.additive]
        if lists:
            values = self._lists(lists)
            if values is None:
                declined = _declined(lists, self.question)
            else:
                measured.append(_measured_lists(values, lists, self.question))
                notes.append(_list_note(values))
        rows = [row for found in measured for row in value_rows(found, self.question.level)]
        differences = difference_rows(measured, self.question.level)
        rows = self._where_support_fails(rows, sums)
        content = self._content((*rows, *declined), differences, sums, notes)
        return Evaluated(content, plan, None if sums is None else sums.estimate)

    def _additive(self) -> tuple[Plan | None, Sums | None]:
        question = self.question
        terms: list[Term] = []
        for metric in question.metrics:
            if not metric.additive:
                continue
            for model in question.models:
                if metric.scope == "cell":
                    terms.append(LossTerm(metric, model))
                else:
                    terms.append(ListTerm(metric, model, question.gain))
        if not terms:
            return None, None
        plan = Plan(
            source=self.source,
            terms=tuple(terms),
            estimators=question.estimators,
            law=None if self.imputation is None else self.imputation.law,
            sampled=question.sampled,
            level=question.level,
        )
        return plan, plan.run()

    def _lists(self, metrics: Sequence[Metric]) -> ListValues | None:
        question = self.question
        terms = terms_of(metrics, question.models, question.gain)
        if question.uniform:
            return on_slice(self.source, terms, question.gain, question.level)
        if self.imputation is None or question.outcome_model is None:
            return None
        source = replace(self.source, rank=False, every_cell=True)
        return from_outcome_model(source, terms, self.imputation.law, question.gain, question.level)

    def populations(self, sums: Sums) -> Mapping[str, str]:
        """Return whom each estimator speaks of."""
        share = sums.coverage.share_unsupported
        where = " outside the training part" if self.question.train is not None else ""
        words = f"eligible cells{where}"
        if self.weights is not None and self.weights.support.share_unsupported > 0:
            words = f"supported cells{where} ({1 - share:.1%} of the eligible)"
        return {e: "recorded cells" if e == "naive" else words for e in self.question.estimators}

    def _where_support_fails(self, rows: list[Row], sums: Sums | None) -> list[Row]:
        """Decline a point for all cells where some of them lack support."""
        share = 0.0 if self.weights is None else self.weights.support.share_unsupported
        if self.question.population != "all" or share == 0.0 or sums is None:
            return rows
        head = self.question.estimators[0]
        declined = [
            Row(
                label=row.label,
                metric=row.metric,
                population="all eligible cells",
                estimator=head,
                status="not_estimable",
                level=row.level,
                note=f"{share:.1%} of the eligible cells lack support; over the others see"
                f" {row.label!r}, supported cells",
            )
            for row in rows
            if row.estimator == head
        ]
        kept = [_of_supported(row) for row in rows]
        return [*declined, *kept]

    def _content(
        self,
        rows: Sequence[Row],
        differences: Sequence[Row],
        sums: Sums | None,
        notes: Sequence[str],
    ) -> dict[str, Any]:
        question = self.question
        tables: tuple[Table, ...] = ()
        if sums is not None:
            tables = (_assumptions.weights_table(sums.weights, sums.coverage, question.estimators),)
        return {
            "kind": "evaluation",
            "title": "Evaluation of recommenders",
            "question": "How good would each model be, had selection not been at work?",
            "answer": evaluation_answer(rows, differences, question.estimators[0]),
            "rows": (*rows, *differences),
            "tables": tables,
            "assumptions": self.stated(sums),
            "notes": (*self.notes(sums), *notes),
            "family": multiplicity(len(differences), "holm", "paired differences")
            if differences
            else "",
            "adjustment": () if self.weights is None else tuple(self._covariates()),
            "graph_dot": "" if question.graph is None else question.graph.to_dot(),
            "provenance": provenance(question.log, question.seed, config_of(question)),
        }

    def _covariates(self) -> tuple[str, ...]:
        return () if self.weights is None else tuple(self.weights.propensity.covariates_)

    def stated(self, sums: Sums | None) -> tuple[Assumption, ...]:
        """Return what the evaluation rests on."""
        from causalrec.nuisances import ShadowPropensity

        question, found = self.question, []
        head = question.estimators[0]
        if question.uniform:
            found.append(_assumptions.uniform_slice(slice_rate(question.log, None)[0], False))
        else:
            asked = None if self.weights is None else question.graph
            identified = identify_mean(asked, False, question.propensity)[0]
            if isinstance(question.propensity, ShadowPropensity):
                given = question.propensity
                found += shadow_assumptions(given, identified, stacked=False)
            elif getattr(question.propensity, "depends_on_outcome", False):
                found.append(_assumptions.recorded_by_outcome())
            else:
                found.append(_assumptions.missing_at_random(identified, self._covariates()))
        if self.weights is not None and sums is not None:
            found.append(_assumptions.overlap(self.weights.support, sums.coverage))
            found.append(_assumptions.propensity_model(self.weights, head))
        if self.imputation is not None:
            used = "dr" if "dr" in question.estimators else "regression"
            found.append(
                _assumptions.outcome_model(self.imputation, used, known_rate=question.uniform)
            )
        kept_apart = held_out(question.contenders, question.log, question.train)
        if kept_apart is not None:
            found.append(kept_apart)
        return (*found, _assumptions.speaks_of(question.sampled))

    def notes(self, sums: Sums | None) -> list[str]:
        question = self.question
        notes = []
        if sums is not None:
            support = None if self.weights is None else self.weights.support
            notes += _assumptions.coverage_notes(sums.coverage, support, question.clip)
        conventions = {
            m.definition.name: m.definition.convention
            for m in question.metrics
            if m.additive or question.uniform
        }
        notes += [f"{name}: {words}." for name, words in conventions.items()]
        if any(m.scope == "list" for m in question.metrics):
            notes.append(f"In lists the {question.gain.words}.")
        part = question.log.part
        if part is not None and part.rate < 1.0 and not question.uniform:
            notes.append(
                f"The log is the {part.name} part of a split: its propensities are those of the"
                f" whole log times {part.rate:.3g}"
                + ("." if question.train is None else ", given that the cell is not in training.")
            )
        return [*notes, *question.log.notes]


def _of_supported(row: Row) -> Row:
    suffix = ", supported cells"
    parents = tuple(f"{parent}{suffix}" for parent in row.derived_from)
    return row.model_copy(update={"label": f"{row.label}{suffix}", "derived_from": parents})


def _weights(question: EvaluationQuestion) -> Weighting:
    estimand = identify_mean(question.graph, False, question.propensity)[0]
    return weighting(question.propensity, question.log, question.graph, estimand, question.floor)


def _given(weights: Weighting | None) -> Any:
    return None if weights is None else weights.propensity


def _uniform_propensity(log: InteractionLog) -> Any:
    from causalrec.nuisances import KnownPropensity

    if log.kind == "candidates":
        assert log.exposure is not None
        return KnownPropensity(float(log.exposure.mean()), "exposure")
    rate, own = slice_rate(log, None)
    return KnownPropensity(rate, "observed", sampling_rate=own)


def _imputation(question: EvaluationQuestion, weights: Weighting | None) -> Imputation | None:
    """Return the outcome model where one is needed, never one that is evaluated."""
    lists = any(not m.additive for m in question.metrics)
    needed = bool(NEEDS_MEAN & set(question.estimators))
    if not needed and (question.outcome_model is None or not lists or question.uniform):
        return None
    refuse_the_evaluated(question.outcome_model, question.contenders)
    found = imputation_of(
        question.outcome_model,
        question.log,
        graph=question.graph,
        propensity=_given(weights),
        seed=question.seed,
    )
    cells = question.log.observed_cells()
    mean = found.cells(question.log, cells.users, cells.items)
    for contender in question.contenders:
        prediction = contender.predict(question.log, cells.users, cells.items)
        if len(mean) and np.allclose(mean, prediction, rtol=1e-9, atol=1e-9):
            raise StudyError(
                f"The outcome model predicts what {contender.name!r} predicts: it would judge"
                " itself. Pass another one, or None for a cross-fitted feature model."
            )
    return found


def _declined(metrics: Sequence[Metric], question: EvaluationQuestion) -> list[Row]:
    several = len(question.models) > 1
    return [
        Row(
            label=f"{model}: {metric.label}" if several else metric.label,
            metric=metric.label,
            estimator=question.estimators[0],
            population="recorded cells",
            status="not_estimable",
            note=DECLINED,
        )
        for metric in metrics
        for model in question.models
    ]


def _measured_lists(
    values: ListValues, metrics: Sequence[Metric], question: EvaluationQuestion
) -> Measured:
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


def _list_note(values: ListValues) -> str:
    note = (
        f"NDCG: {values.n_without:,} users without a positive gain are left out; its interval is"
        " for new users of this catalogue."
    )
    if "outcome model" not in values.suffix:
        return note
    return (
        f"{note} All members compete, by expected gain. It is the outcome model's opinion: the"
        " interval leaves out that model's error, and no verdict is drawn from it."
    )
