"""How an evaluation is computed: what it needs is settled here, then every metric runs once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from causalrec.evaluation import _assumptions
from causalrec.evaluation._cells import CellSource
from causalrec.evaluation._displays import DisplayValues, display_values
from causalrec.evaluation._engine import NEEDS_WEIGHT, Sums
from causalrec.evaluation._evaluation_nuisances import (
    check_question,
    given,
    outcome_model_of,
    uniform_propensity,
    weights_of,
)
from causalrec.evaluation._evaluation_options import EvaluationQuestion, config_of
from causalrec.evaluation._evaluation_parts import (
    declined_rows,
    list_note,
    measured_displays,
    measured_lists,
)
from causalrec.evaluation._evaluation_rows import (
    Measured,
    difference_rows,
    evaluation_answer,
    measured_sums,
    simultaneous_tables,
    value_rows,
)
from causalrec.evaluation._held_out import held_out
from causalrec.evaluation._history import History
from causalrec.evaluation._imputation import Imputation
from causalrec.evaluation._law import Gain
from causalrec.evaluation._new_users import NOTE
from causalrec.evaluation._plan import Plan
from causalrec.evaluation._samples import sample_estimate
from causalrec.evaluation._setup import Weighting, identify_mean, slice_rate
from causalrec.evaluation._shadow_assumptions import shadow_assumptions
from causalrec.evaluation._terms import (
    ListTerm,
    LossTerm,
    ModelMetric,
    OutcomeTerm,
    Term,
    needs_popularity,
    sum_term,
)
from causalrec.evaluation._whole_lists import (
    ListValues,
    from_outcome_model,
    on_slice,
    terms_of,
)
from causalrec.evaluation.metrics import Metric, popularity_places
from causalrec.evaluation.metrics._model import Form
from causalrec.inference import Estimate
from causalrec.results import Assumption, Row, Table, multiplicity, provenance


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
        check_question(question)
        log = question.log
        weights = None
        weighted = question.measures_outcomes and NEEDS_WEIGHT & set(question.estimators)
        if not question.uniform and weighted:
            weights = weights_of(question)
        imputation = outcome_model_of(question, weights)
        source = CellSource(
            log,
            propensity=uniform_propensity(log) if question.uniform else given(weights),
            support=None if weights is None else weights.support,
            contenders=question.contenders,
            rank=any(m.scope == "list" and m.additive for m in question.metrics),
            imputation=imputation,
            excluded=question.train,
            clip=question.clip,
        )
        return cls(question, weights, source, imputation)

    def answer(self) -> Evaluated:
        """Compute every metric and put the result together."""
        question = self.question
        measured, without, notes = [], [], []
        plan, sums = self._additive()
        if plan is not None and sums is not None:
            measured += measured_sums(plan, sums, self.populations(sums))
        samples = self._of_form("sample")
        if samples:
            sums = sums or self._plan((OutcomeTerm(),)).run()
            measured.append(self._samples(samples, sums))
        lists = self._of_form("gains")
        if lists:
            values = self._lists(lists)
            if values is None:
                without = declined_rows(lists, question)
            else:
                measured.append(measured_lists(values, lists, question))
                notes.append(list_note(values, lists))
        for shown in self._displays():
            measured.append(measured_displays(shown, question))
            if shown.n_without:
                label = shown.terms[0].metric
                notes.append(f"{label}: {shown.n_without:,} users are left out, without a value.")
        rows = [row for found in measured for row in value_rows(found, question.level)]
        differences = difference_rows(measured, question.level)
        rows = [*self._where_support_fails(rows, sums), *without]
        content = self._content(self._as_asked(rows), self._as_asked(differences), sums, notes)
        content["tables"] = (*content["tables"], *simultaneous_tables(measured, question.level))
        return Evaluated(content, plan, None if plan is None or sums is None else sums.estimate)

    def _as_asked(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows in the order of the metrics asked for."""
        places = {metric.label: at for at, metric in enumerate(self.question.metrics)}
        names = [row.metric.removeprefix("difference of ").split(",")[0] for row in rows]
        order = sorted(range(len(rows)), key=lambda at: places[names[at]])
        return [rows[at] for at in order]

    def _of_form(self, form: Form) -> list[Metric]:
        return [metric for metric in self.question.metrics if metric.form == form]

    def terms(self) -> tuple[LossTerm | ListTerm, ...]:
        """Return the sums over cells, one a metric and model."""
        question = self.question
        metrics = self._of_form("sum")
        popularity = None
        if any(needs_popularity(metric) for metric in metrics):
            known_by = History.of(question.log, question.train).known_by
            counted = question.train is None
            popularity = np.stack(
                [popularity_places(known_by, without_own=own) for own in (False, counted)]
            )
        gain = question.gain if any(metric.scope == "list" for metric in metrics) else Gain()
        return tuple(
            sum_term(metric, model, gain, popularity)
            for metric in metrics
            for model in question.models
        )

    def _plan(self, terms: tuple[Term, ...]) -> Plan:
        question = self.question
        return Plan(
            source=self.source,
            terms=terms,
            estimators=question.estimators,
            law=None if self.imputation is None else self.imputation.law,
            sampled=question.sampled,
            level=question.level,
        )

    def _additive(self) -> tuple[Plan | None, Sums | None]:
        terms = self.terms()
        if not terms:
            return None, None
        plan = self._plan(terms)
        return plan, plan.run()

    def _samples(self, metrics: Sequence[Metric], sums: Sums) -> Measured:
        question = self.question
        asking = any(metric.definition.outcome == "relevance" for metric in metrics)
        terms = tuple(ModelMetric(metric, one) for metric in metrics for one in question.models)
        estimate = sample_estimate(
            replace(self.source, rank=False),
            terms,
            question.estimators,
            law=None if self.imputation is None else self.imputation.law,
            gain=question.gain if asking else None,
            sampled=question.sampled,
            level=question.level,
        )
        return Measured(
            estimate=estimate,
            terms=terms,
            estimators=question.estimators,
            populations=self.populations(sums),
            counts={e: sums.weights[e, ""].n for e in question.estimators},
            unit="cells",
            name={metric.label: metric.label for metric in metrics},
            higher_is_better={m.label: m.definition.higher_is_better for m in metrics},
        )

    def _lists(self, metrics: Sequence[Metric]) -> ListValues | None:
        question = self.question
        terms = terms_of(metrics, question.models, question.gain)
        if question.uniform:
            return on_slice(self.source, terms, question.gain, question.level)
        if self.imputation is None or question.outcome_model is None:
            return None
        source = replace(self.source, rank=False, every_cell=True)
        return from_outcome_model(source, terms, self.imputation.law, question.gain, question.level)

    def _displays(self) -> tuple[DisplayValues, ...]:
        question, metrics = self.question, self._of_form("lists")
        if not metrics:
            return ()
        return display_values(
            question.log,
            question.train,
            question.contenders,
            metrics,
            question.item_columns,
            question.level,
        )

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
            "question": "How good would each model be, had selection not been at work?"
            if question.measures_outcomes
            else "What do these recommenders list?",
            "answer": evaluation_answer(rows, differences),
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

        if not self.question.measures_outcomes:
            return (_assumptions.speaks_of(("user",)),)
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
                known = getattr(question.propensity, "rating_slice", None) is None
                found.append(_assumptions.recorded_by_outcome(stacked=not known))
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
            if m.form != "gains" or question.uniform
        }
        notes += [f"{name}: {words}." for name, words in conventions.items()]
        if any(m.definition.outcome == "relevance" for m in question.metrics) or any(
            m.scope == "list" and m.definition.outcome == "any" for m in question.metrics
        ):
            notes.append(f"In lists: {question.gain.words}.")
            if question.chooses_relevance:
                notes.append(
                    f"{question.gain.threshold:g} is the first outcome above the middle of the"
                    " range; relevance_threshold= says otherwise."
                )
        if "naive" in question.estimators and any(
            m.form == "sum" and m.scope == "list" and m.definition.per == "user"
            for m in question.metrics
        ):
            notes.append(
                "naive, of a sum over a list, takes the recorded cells of a user for all of them:"
                " where what is listed is also what is recorded it is far too high, and may leave"
                " the range of the metric."
            )
        if any(m.scope == "list" for m in question.metrics) and "item" in question.sampled:
            notes.append(NOTE)
        notes += [note for one in question.contenders for note in one.notes(question.log)]
        part = question.log.part
        weighed = question.weighs and not question.uniform
        if part is not None and part.rate < 1.0 and weighed:
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
