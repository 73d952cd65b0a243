"""Metrics and means by group, every estimator in one joint estimate: what audits are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.errors import StudyError
from causalrec.evaluation._cell_evaluator import evaluator_of_cells
from causalrec.evaluation._common_support import common_support, shared_words
from causalrec.evaluation._engine import NEEDS_EVERY_CELL, Sums, Weights, accumulate
from causalrec.evaluation._evaluator import Evaluator
from causalrec.evaluation._group_rows import GroupRows
from causalrec.evaluation._groups import EVERYBODY, Group, groups_by
from causalrec.evaluation._law import GainForm
from causalrec.evaluation._recommenders import contenders
from causalrec.evaluation._sensitivity import Recorded
from causalrec.evaluation._terms import OutcomeTerm, Term
from causalrec.evaluation.metrics import parse_metrics
from causalrec.inference import Estimate
from causalrec.results import Assumption
from causalrec.threads import two_at_a_time

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances import Propensity, Support

MEAN = "mean"


@dataclass(frozen=True, eq=False)
class GroupEstimates:
    """One attribute: every metric by every estimator in each of its groups.

    Attributes
    ----------
    column : str
    groups : tuple of Group
        One a level, sorted.
    estimates : mapping of metric to Estimate
        Labelled by `label`: every estimator in every group, with their covariances.
    metrics, estimators : tuple of str
    populations : mapping of estimator to str
        Whom its numbers speak of.
    weights : mapping of (estimator, group label) to Weights
        Recorded cells, effective sample size, extremes; the group label "" is everybody.
    share_clipped : float
    left_out : int
        Items (users, for an attribute of items) without common support of the groups.
    """

    column: str
    groups: tuple[Group, ...]
    estimates: Mapping[str, Estimate]
    metrics: tuple[str, ...]
    estimators: tuple[str, ...]
    populations: Mapping[str, str]
    weights: Mapping[tuple[str, str], Weights]
    share_clipped: float
    left_out: int
    names: Mapping[str, tuple[str, str]]

    def label(self, metric: str, estimator: str, group: Group = EVERYBODY) -> str:
        """Return the label of one number in `estimate`."""
        return "|".join((*self.names[metric], estimator, group.label))


@dataclass(frozen=True, eq=False)
class GroupAnswers:
    """All attributes, and what the numbers rest on.

    Attributes
    ----------
    found : tuple of GroupEstimates
        In the order of the columns.
    propensity : Propensity or None
    support : Support or None
        Before it is made common to groups.
    assumptions : tuple of Assumption
    notes : tuple of str
    recorded : callable(metric, column)
        The recorded cells of the common support of a column's groups, with the metric's value and
        the propensity of each; None for a metric that is no mean over cells.
    """

    found: tuple[GroupEstimates, ...]
    propensity: Propensity | None
    support: Support | None
    assumptions: tuple[Assumption, ...]
    notes: tuple[str, ...]
    recorded: Callable[[str, str], Recorded | None]


def group_estimates(
    log: InteractionLog,
    by: str | Sequence[str],
    *,
    model: Any = None,
    metrics: Sequence[str] = (MEAN,),
    estimators: Sequence[str] = ("naive", "snips", "dr"),
    provider_columns: Sequence[str] = (),
    propensity: Any = None,
    outcome_model: Any = None,
    graph: CausalGraph | None = None,
    sampled: Sequence[str] = ("user", "item"),
    relevance_threshold: float | None = None,
    gain: GainForm = "linear",
    train: InteractionLog | None = None,
    clip: float | None = None,
    floor: float = 1e-3,
    level: float = 0.95,
    random_state: int | None = 0,
) -> GroupAnswers:
    """Estimate means and metrics by group, with the covariances that gaps need.

    Parameters
    ----------
    log : InteractionLog
        Ratings or candidates.
    by : str or sequence of str
        Columns of users or items.
    model : Recommender or callable(users, items), optional
        Needed by every metric but "mean", the outcome itself.
    metrics : sequence of str
        "mean" and the additive metrics of `evaluate`.
    estimators : sequence of str
        "naive", "snips", "ips", "dr"; on a log whose rows are all randomised, "plain" alone.
    provider_columns : sequence of str
        Columns of `by` that are attributes of the items' providers: clustered by user and provider.
    propensity, outcome_model, graph, sampled, relevance_threshold, gain, train, clip, floor, \
    level, random_state
        As in `evaluate`.

    Returns
    -------
    GroupAnswers
        Cells count where they are supported *in common*: an item (a user, for an attribute of
        items) most of whose cells lack support in one of the groups is left out of all of them,
        because a gap would else compare catalogues.

    Examples
    --------
    >>> import causalrec as cr
    >>> world = cr.simulate("music", n_users=300, n_items=60, density=0.2, random_state=1)
    >>> by_country, = group_estimates(
    ...     world.log, "country", estimators=["snips"], propensity=world.potential.propensity).found
    >>> a, b = (by_country.label("mean", "snips", group) for group in by_country.groups)
    >>> by_country.estimates["mean"].difference(a, b, "A - B").labels
    ('A - B',)
    """
    columns = (by,) if isinstance(by, str) else tuple(by)
    asked = [name for name in metrics if name != MEAN]
    _refuse_what_does_not_add_up(asked)
    evaluator = evaluator_of_cells(
        log,
        purpose="numbers over cells, recorded or not, by group",
        models=contenders(model) if asked else (),
        metrics=parse_metrics(asked) if asked else (),
        gain=gain,
        estimators=estimators,
        propensity=propensity,
        outcome_model=outcome_model,
        graph=graph,
        sampled=sampled,
        relevance_threshold=relevance_threshold,
        train=train,
        clip=clip,
        floor=floor,
        level=level,
        random_state=random_state,
    )
    return _Grouped(evaluator, tuple(metrics), columns, tuple(provider_columns)).run()


def _refuse_what_does_not_add_up(asked: Sequence[str]) -> None:
    wrong = (
        [metric.label for metric in parse_metrics(asked) if not metric.additive] if asked else []
    )
    if wrong:
        raise StudyError(
            f"{', '.join(wrong)} cannot be parted by group here: metrics that are sums over cells"
            " can (mse, mae, log-loss, dcg@k, recall@k, precision@k, serendipity@k). Evaluate the"
            " groups' own logs one by one instead."
        )


@dataclass(frozen=True, eq=False)
class _Grouped:
    evaluator: Evaluator
    metrics: tuple[str, ...]
    columns: tuple[str, ...]
    provider_columns: tuple[str, ...]
    kept: dict[str, GroupRows] = field(default_factory=dict)

    def run(self) -> GroupAnswers:
        """Accumulate once for each distinct pair of population and clusters."""
        evaluator = self.evaluator
        weights = evaluator.weights
        support = None if weights is None else weights.support
        runs: dict[tuple[str, bool], list[str]] = {}
        common: dict[str, tuple[Support | None, int]] = {}
        groups: dict[str, tuple[Group, ...]] = {}
        notes: list[str] = []
        for column in self.columns:
            (_, *levels), said = groups_by(evaluator.question.log, column)
            groups[column] = tuple(levels)
            notes += said
            common[column] = common_support(support, groups[column])
            mask = common[column][0]
            name = "" if mask is None else mask.hash
            runs.setdefault((name, column in self.provider_columns), []).append(column)
        found: dict[str, GroupEstimates] = {}
        stated: tuple[Assumption, ...] = ()
        said_of_runs: dict[str, list[str]] = {}
        for (_, by_provider), columns in runs.items():
            together = tuple(group for column in columns for group in groups[column])
            shared = common[columns[0]][0]
            if self._needs_every_cell:
                sums = self._accumulate(shared, together, by_provider)
                by_column = {
                    column: dict.fromkeys(self.metrics, sums.estimate) for column in columns
                }
            else:
                rows = self._rows(shared)
                weights_of = {
                    name: one
                    for column in columns
                    for name, one in rows.weights_by(
                        groups[column], evaluator.question.estimators
                    ).items()
                }
                by_column = {c: self._by_rows(rows, groups[c], by_provider) for c in columns}
                sums = Sums(next(iter(by_column[columns[0]].values())), rows.coverage, weights_of)
            for column in columns:
                found[column] = self._found(
                    column, groups[column], by_column[column], sums, common[column]
                )
            stated = stated or evaluator.stated(sums)
            said_of_runs[", ".join(columns)] = evaluator.notes(sums)
        notes += _once(said_of_runs)
        return GroupAnswers(
            found=tuple(found[column] for column in self.columns),
            propensity=None if weights is None else weights.propensity,
            support=support,
            assumptions=stated,
            notes=tuple(notes),
            recorded=lambda metric, column: self._recorded(metric, common[column][0]),
        )

    def _recorded(self, metric: str, support: Support | None) -> Recorded | None:
        rows = self._rows(support)
        if metric in rows.bases:
            return None
        per_user = metric in self.terms and self.terms[metric].per_user
        return Recorded(
            rows.users, rows.items, rows.values[metric], rows.propensity, rows.coverage, per_user
        )

    def _rows(self, support: Support | None) -> GroupRows:
        """Return the recorded rows of a population, made once."""
        name = "" if support is None else support.hash
        if name not in self.kept:
            terms = {MEAN: OutcomeTerm(), **self.terms}
            source = replace(self.evaluator.source, support=support)
            self.kept[name] = GroupRows.of(source, tuple(terms.values()))
        return self.kept[name]

    @cached_property
    def terms(self) -> dict[str, Term]:
        """The metrics as terms."""
        known = {term.metric: term for term in self.evaluator.terms()}
        return {name: OutcomeTerm() if name == MEAN else known[name] for name in self.metrics}

    @property
    def _list_of_terms(self) -> tuple[Term, ...]:
        return tuple(self.terms.values())

    @property
    def _needs_every_cell(self) -> bool:
        question = self.evaluator.question
        return bool(NEEDS_EVERY_CELL & set(question.estimators)) or not question.sampled

    def _by_rows(
        self, rows: GroupRows, groups: Sequence[Group], by_provider: bool
    ) -> dict[str, Estimate]:
        """Return every metric by every estimator in the groups of one attribute."""
        question = self.evaluator.question
        log = question.log
        clusters = {"user": rows.users.astype(np.int64), "item": rows.items.astype(np.int64)}
        if by_provider and log.provider is not None:
            clusters["provider"] = log.provider[rows.items].astype(np.int64)
        sampled = ("provider" if by_provider and s == "item" else s for s in question.sampled)
        chosen = {name: clusters[name] for name in sampled}
        rows.codes_of(groups)  # found once, before the metrics ask for it

        def estimate(term: Term) -> Estimate:
            return rows.estimate(
                term,
                question.estimators,
                groups,
                clusters=chosen,
                level=question.level,
                one_row_per_cell=not by_provider
                and (log.kind == "ratings" or log.one_row_per_cell),
            )

        return dict(zip(self.terms, two_at_a_time(estimate, self.terms.values()), strict=True))

    def _accumulate(
        self, support: Support | None, groups: Sequence[Group], by_provider: bool
    ) -> Sums:
        evaluator, question = self.evaluator, self.evaluator.question
        sampled = tuple("provider" if by_provider and s == "item" else s for s in question.sampled)
        return accumulate(
            replace(evaluator.source, support=support),
            self._list_of_terms,
            question.estimators,
            groups=(EVERYBODY, *groups),
            law=None if evaluator.imputation is None else evaluator.imputation.law,
            sampled=sampled,
            level=question.level,
            by_provider=by_provider,
        )

    def _found(
        self,
        column: str,
        groups: tuple[Group, ...],
        estimates: Mapping[str, Estimate],
        sums: Sums,
        common: tuple[Support | None, int],
    ) -> GroupEstimates:
        labels = {"", *(group.label for group in groups)}
        estimators = self.evaluator.question.estimators
        population = self.evaluator.populations(sums)
        if common[1]:
            words = shared_words(groups, common[1])
            population = {e: f"recorded {words}" if e == "naive" else words for e in population}
        return GroupEstimates(
            column=column,
            groups=groups,
            estimates=estimates,
            metrics=self.metrics,
            estimators=estimators,
            populations=population,
            weights={k: w for k, w in sums.weights.items() if k[1] in labels},
            share_clipped=sums.coverage.share_clipped,
            left_out=common[1],
            names={name: (term.metric, term.model) for name, term in self.terms.items()},
        )


def _once(said: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the notes of all runs, and those of some with the columns that they speak of."""
    everywhere = list(dict.fromkeys(note for notes in said.values() for note in notes))
    return [
        note
        if all(note in notes for notes in said.values())
        else f"Groups by {'; '.join(c for c, notes in said.items() if note in notes)}: {note}"
        for note in everywhere
    ]
