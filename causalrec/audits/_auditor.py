"""How an audit is put together: what is asked, what is measured, what is hidden, what is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.audits._answer import answer_of
from causalrec.audits._attributes import Attribute, BoolArray, read_attributes
from causalrec.audits._calibration_gap import add_calibration_gaps
from causalrec.audits._diagnostics import group_diagnostics
from causalrec.audits._disclosure import (
    Pairs,
    hidden_later,
    hidden_pairs,
    hide_in_table,
    hide_small_groups,
    table_of_tests,
)
from causalrec.audits._gaps import Found
from causalrec.audits._group_means import add_group_means, add_shown_means
from causalrec.audits._list_measures import add_list_measures
from causalrec.audits._lists import Lists, lists_of_log, lists_of_model, lists_of_table
from causalrec.audits._measures import NOT_OF_LISTS
from causalrec.audits._options import AuditQuestion, is_of_items, means_under_exposure
from causalrec.audits._robustness import add_robustness, said_of_robustness
from causalrec.audits._spread import table_of_spreads
from causalrec.audits._trends import add_trends
from causalrec.audits._unfairness import add_unfairness
from causalrec.audits._unknown_gaps import add_unknown_gaps
from causalrec.errors import DataError, StudyError
from causalrec.evaluation import GroupAnswers, group_estimates, groups_by
from causalrec.inference import holm
from causalrec.results import Assumption, Row, Table, multiplicity, provenance
from causalrec.threads import one_thread

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

MISSING = "missing at random"


@dataclass(eq=False)
class Auditor:
    """A question with its lists and its groups; the parts of the answer are added in turn."""

    question: AuditQuestion
    lists: Lists | None
    users: tuple[Attribute, ...]
    items: tuple[Attribute, ...]
    found: Found = field(default_factory=Found)
    tables: list[Table] = field(default_factory=list)
    assumptions: list[Assumption] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    adjustment: tuple[str, ...] = ()

    @classmethod
    def of(cls, question: AuditQuestion) -> Auditor:
        """Make the lists, and read the groups."""
        lists = _lists_of(question)
        active = _active_users(question.log, lists)

        def read(columns: Sequence[str], entity: Any) -> tuple[Attribute, ...]:
            return read_attributes(
                question.log,
                columns,
                entity=entity,
                min_cell=question.min_cell,
                active_users=active,
                crossing=question.crossing,
            )

        users, items = read(question.user_groups, "user"), read(question.item_groups, "item")
        if lists is None and not users and not items:
            raise StudyError(
                "There is nothing to audit: name user_groups=[...] or item_groups=[...], or pass a"
                " model or a table of lists."
            )
        return cls(question, lists, users, items)

    @one_thread
    def answer(self) -> dict[str, Any]:
        """Measure everything, hide what is small, and say what was found."""
        self._add_means()
        self._add_lists()
        self._add_trends()
        attributes = {one.column: one for one in (*self.users, *self.items)}
        rows = self._judged(
            hide_small_groups(self.found.rows, self.question.min_cell, tuple(attributes.values()))
        )
        hidden = hidden_pairs(rows, attributes)
        tables = tuple(hide_in_table(table, hidden) for table in self.tables)
        tested = [row for row in rows if row.p_adjusted is not None]
        question = self.question
        return {
            "kind": "audit",
            "title": "Fairness audit",
            "question": "Who is treated worse, and is the gap real once selection is corrected?",
            "answer": answer_of(rows, self.found.family, self.found.lambdas),
            "rows": rows,
            "tables": (*self._tests(attributes, hidden), *tables),
            "assumptions": tuple(said_of_robustness(self.assumptions, self.found)),
            "notes": tuple(dict.fromkeys((*self.notes, *self._said_of_groups(hidden)))),
            "family": _family(len(tested)),
            "adjustment": self.adjustment,
            "graph_dot": "" if question.graph is None else question.graph.to_dot(),
            "provenance": provenance(
                {"log": question.source}
                if question.train is None
                else {"log": question.source, "train": question.train},
                question.seed,
                question.config,
            ),
        }

    def _tests(self, attributes: dict[str, Attribute], hidden: Pairs) -> tuple[Table, ...]:
        """Return what was tested of all groups of an attribute together."""
        later = hidden_later(attributes, hidden)
        spreads = [line for line in self.found.spreads if line[0] not in later]
        tests = table_of_tests(self.found.tests, attributes, hidden)
        return (*tests, *table_of_spreads(spreads))

    # ------------------------------------------------------------------ means and metrics

    def _add_means(self) -> None:
        question, attributes = self.question, (*self.users, *self.items)
        measured = question.measured
        if not attributes:
            return
        if question.log.kind == "impressions" and measured == ("mean",):
            add_shown_means(self.found, question.log, attributes, question.sampled, question.level)
            self.notes.append(
                "Means are plain ones of the rows shown: who was shown what, and where, is not"
                " corrected (policy_value(log, policy) does that for a policy)."
            )
        elif question.log.kind == "positives":
            self.notes.append("A log of positives has no outcomes to compare: lists only.")
        else:
            self._add_corrected(measured)

    def _add_corrected(self, measured: tuple[str, ...]) -> None:
        question = self.question
        propensity, graph, stated = means_under_exposure(question)
        self.assumptions += stated
        of_items = tuple(name for name in measured if is_of_items(name))
        for attributes, metrics in _calls(self.users, self.items, measured, of_items):
            answers = self._estimates(attributes, metrics, propensity, graph)
            by_column = {one.column: one for one in attributes}
            add_group_means(self.found, answers.found, by_column, question.level)
            table, judged = group_diagnostics(
                answers, by_column, _selected(question.log), (*self.users, *self.items)
            )
            self.tables.append(table)
            self.tables += self._beside_means(answers, by_column)
            # A graph of exposure says it in its own words: see `means_under_exposure`.
            said = [one for one in answers.assumptions if not (stated and one.name == MISSING)]
            self.assumptions += [one for one in (*said, *judged) if one not in self.assumptions]
            private = groups_by(question.log, list(by_column))[1]
            self.notes += [note for note in answers.notes if note not in private]
            if answers.propensity is not None:
                self.adjustment = tuple(answers.propensity.covariates_)
        self._note_on_outcomes(measured)

    def _beside_means(
        self, answers: GroupAnswers, attributes: dict[str, Attribute]
    ) -> tuple[Table, ...]:
        """Return Lambda* of the gaps and the Yao-Huang family, where they were asked for."""
        question = self.question
        tables: list[Table] = []
        if question.sensitivity:
            tables += add_robustness(self.found, answers, attributes, question)
        if question.unknown == "bounds":
            for one in attributes.values():
                self.notes += add_unknown_gaps(self.found, answers, one, question)
        if "unfairness" in question.measures and question.is_model:
            for one in attributes.values():
                if one.entity == "user":
                    tables += add_unfairness(self.found, answers, one, question)
        return tuple(tables)

    def _estimates(
        self,
        attributes: Sequence[Attribute],
        metrics: tuple[str, ...],
        propensity: Any,
        graph: CausalGraph | None,
    ) -> GroupAnswers:
        question = self.question
        return group_estimates(
            question.log,
            [one.column for one in attributes],
            model=question.given if question.is_model else None,
            metrics=metrics,
            estimators=question.estimators,
            provider_columns=[one.column for one in attributes if one.by_provider],
            propensity=propensity,
            graph=graph,
            sampled=question.sampled,
            **question.estimation,
        )

    def _note_on_outcomes(self, measured: tuple[str, ...]) -> None:
        log = self.question.log
        if self.question.is_model and log.part is None and set(measured) - {"mean"}:
            self.notes.append(
                "If the model was fitted on these very outcomes, its errors here are too small:"
                " audit it on the test part of a split (train=... names the other part)."
            )
        if log.randomized is not None and log.randomized.any() and not log.randomized.all():
            self.notes.append(
                f"{int(log.randomized.sum()):,} randomised rows are set aside; by group they"
                " answer in estimate_mean(log, by=..., using='randomized')."
            )

    # ------------------------------------------------------------------ lists

    def _add_lists(self) -> None:
        question, lists = self.question, self.lists
        if lists is None:
            if question.log.kind == "ratings" and question.given is None:
                self.notes.append(
                    "A rating log does not record what was shown: exposure and popularity need a"
                    " model or lists."
                )
            return
        added = add_list_measures(self.found, question, lists, self.users, self.items)
        self.tables += added.tables
        self.notes += added.notes
        self.assumptions += added.assumptions
        if "miscalibration" in question.measures:
            self.tables += add_calibration_gaps(self.found, lists, question, self.users, self.items)

    def _add_trends(self) -> None:
        if "trends" in self.question.measures:
            tables, notes = add_trends(self.found, self.question, self.users)
            self.tables += tables
            self.notes += notes

    # ------------------------------------------------------------------ putting together

    def _judged(self, rows: tuple[Row, ...]) -> tuple[Row, ...]:
        """Return the rows with Holm's p over the shown part of the family."""
        members = set(self.found.family)
        places = [
            i for i, row in enumerate(rows) if row.label in members and row.p_value is not None
        ]
        p_values = np.array([rows[i].p_value for i in places], dtype=np.float64)
        adjusted = dict(zip(places, holm(p_values).tolist() if places else [], strict=True))
        return tuple(
            row.model_copy(update={"p_adjusted": adjusted[i]}) if i in adjusted else row
            for i, row in enumerate(rows)
        )

    def _said_of_groups(self, hidden: frozenset[tuple[str, str]]) -> list[str]:
        said = []
        for one in (*self.users, *self.items):
            said += [one.note] if one.note else []
            if one.reference is not None:
                said.append(
                    f"Gaps by {one.column} are to {one.reference!r}, the largest group shown"
                    f" ({one.unit} counted)."
                )
            if one.by_provider:
                said.append(
                    f"{one.column!r} is an attribute of providers: clustered by provider, with t"
                    " on the effective number of them."
                )
        if hidden:
            said.append(
                f"{len(hidden)} groups are hidden: they have fewer than"
                f" {self.question.min_cell} members, or would give such a group away. A filtered"
                " audit is not an audit of everybody."
            )
        return said


def _calls(
    users: tuple[Attribute, ...],
    items: tuple[Attribute, ...],
    measured: tuple[str, ...],
    of_items: tuple[str, ...],
) -> list[tuple[tuple[Attribute, ...], tuple[str, ...]]]:
    """Return which attributes are measured together: all, unless lists are in the metrics."""
    if measured == of_items:
        return [((*users, *items), measured)]
    return [pair for pair in ((users, measured), (items, of_items)) if pair[0] and pair[1]]


def _family(size: int) -> str:
    if not size:
        return ""
    return (
        f"{multiplicity(size, 'holm', 'gaps and ratios between groups')} The intervals of the gaps"
        " of one attribute in one measure cover all of them at once (sup-t)."
    )


def _lists_of(question: AuditQuestion) -> Lists | None:
    log, given = question.log, question.given
    if not set(question.measures) - NOT_OF_LISTS:
        return None
    if given is None:
        found = lists_of_log(log, browsing=question.browsing)
        if found is None and log.kind == "positives":
            raise DataError(
                "A log of positives says neither what was shown nor what was not liked: pass a"
                " model or a table of lists to audit."
            )
        return found
    if question.is_model:
        return lists_of_model(
            given,
            log,
            question.history,
            k=question.k,
            exclude_seen=question.exclude_seen,
            browsing=question.browsing,
        )
    return lists_of_table(given, log, question.history, k=question.k, browsing=question.browsing)


def _active_users(log: InteractionLog, lists: Lists | None) -> BoolArray:
    """Return the users who are behind every number: with rows and, where lists are, a list."""
    active = np.bincount(log.user_codes, minlength=log.n_users) > 0
    if lists is not None:
        active &= np.bincount(lists.users, minlength=log.n_users) > 0
    return np.asarray(active)


def _selected(log: InteractionLog) -> InteractionLog:
    """Return the part of the log that the propensity speaks of."""
    if log.randomized is None or log.randomized.all() or not log.randomized.any():
        return log
    return log.selected_part()
