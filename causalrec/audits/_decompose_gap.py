"""`decompose_gap`: through which pathway does a gap between two groups arise?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from causalrec.audits import _decomposition_words as words
from causalrec.audits._decomposer import Computed, compute, read_rows
from causalrec.audits._decomposition_graph import Pathways, identify_gap
from causalrec.audits._decomposition_parts import GAP
from causalrec.audits._decomposition_question import GapQuestion, ask
from causalrec.audits._disclosure import hide_small_groups
from causalrec.audits._gaps import clustered
from causalrec.errors import DataError
from causalrec.graph import checked_graph
from causalrec.inference import Estimate, holm
from causalrec.results import (
    DEFAULT_MIN_CELL,
    Assumption,
    Result,
    Row,
    Table,
    multiplicity,
    provenance,
    rows_from_estimate,
)
from causalrec.scores import Score
from causalrec.threads import one_thread

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

NAIVE = "gap (naive)"


class DecompositionResult(Result):
    """The answer of `decompose_gap`: the gap, its parts, and what they rest on.

    Rows: "gap", the parts (they sum to it), "gap (naive)" of all rows, and the mean of each group.
    """

    @property
    def parts(self) -> tuple[Row, ...]:
        """The parts of the gap, in order; they sum to it."""
        return tuple(row for row in self.rows if row.p_adjusted is not None)

    @property
    def estimate(self) -> Estimate:
        """The joint `Estimate` of gap, parts and group means.

        Raises
        ------
        ResultError
            If the result was reloaded from a file, or there was nothing to estimate.
        """
        found: Estimate = self.internal("estimate")
        return found

    def refute(self, *, n_draws: int = 40, random_state: int | None = 0) -> Result:
        """Try to refute the parts: do they fall where they should, and stand where they should?

        Parameters
        ----------
        n_draws : int
            Draws of each refuter.
        random_state : int or None

        Returns
        -------
        Result
            Of kind "refutation". Placebo: exposure dealt again within each user (only the baseline
            may be left), or the groups dealt again among their subjects (nothing may be left).
            Random common cause: one more covariate that causes nothing. Subset: 80 % of the users.
            A table says what the parts would be without each covariate: yardsticks for what is
            hidden.

        Raises
        ------
        ResultError
            If the result was reloaded from a file, is suppressed, or has no parts.
        StudyError
            If `n_draws` is below 2.
        """
        from causalrec.audits._decomposition_refute import refute_parts

        question, pathways = self.internal("question"), self.internal("pathways")
        computed = self.internal("computed")
        return refute_parts(self, question, pathways, computed, n_draws, random_state)


@one_thread
def decompose_gap(
    log: InteractionLog,
    graph: CausalGraph,
    *,
    by: str,
    groups: Sequence[Any] | None = None,
    method: Literal["exposure", "standard_fairness"] = "exposure",
    effect: Literal["natural", "interventional"] = "natural",
    allowed_mediators: Sequence[str] | None = None,
    outcome_model: Any = None,
    propensity: Any = None,
    sampled: Sequence[str] = ("user", "item"),
    min_cell: int = DEFAULT_MIN_CELL,
    floor: float = 1e-3,
    n_folds: int = 5,
    n_repeats: int = 3,
    level: float = 0.95,
    random_state: int | None = 0,
) -> DecompositionResult:
    """Decompose the gap in the outcome between two groups by the pathways through which it arises.

    Parameters
    ----------
    log : InteractionLog
        Candidates (both methods) or impressions (the standard fairness model).
    graph : CausalGraph
        Decides what is adjusted for and which paths there are, or refuses.
    by : str
        The column of the groups, of the users or of the items. What is constant for all items of a
        provider is an attribute of providers, and is clustered by them.
    groups : (a, b), optional
        Two of its levels: the gap is the mean of a minus that of b. Default: its only two, sorted.
    method : {"exposure", "standard_fairness"}
        "exposure": four parts (Yu & Elwert 2025). *baseline*, there without any exposure;
        *prevalence*, shown less; *effect*, the same exposure works less; *selection*, shown to
        others than those on whom it works. "standard_fairness": *direct*, *indirect* through the
        allowed mediators (and *indirect (others)* where the graph lets the others be told
        apart), *spurious* (Plecko & Bareinboim 2024).
    effect : {"natural", "interventional"}
        Of the standard fairness model. Natural parts sum to the gap and are refused where an
        effect of the group decides an allowed mediator and reaches the outcome beside it (a
        recanting witness). Interventional parts survive it, for one allowed mediator of at most
        ten values; what they leave of the gap is printed as *remainder*.
    allowed_mediators : sequence of str, optional
        Nodes or columns whose part is told apart (what business necessity may excuse, say).
        Default: the graph's mediators between group and outcome, or all that stands between.
    outcome_model : scikit-learn estimator, optional
        Unfitted; a classifier where the outcome is 0 or 1. Default: logistic, else ridge.
    propensity : optional
        "exposure": propensities of exposure, as in `estimate_effect`, or an unfitted classifier;
        default those logged, else a logistic model within each group. "standard_fairness": an
        unfitted classifier of the group.
    sampled : tuple
        ("user", "item") for new users and items, ("user",) for new users of this catalogue.
    min_cell : int
        If a group has fewer users (items), or would give one away, everything is hidden.
    floor : float
        Rows whose probability of the other arm (group) is below are set aside and counted.
    n_folds, n_repeats : int
        Folds of those who bear the attribute, for cross-fitting; deals of them, of which the one
        nearest to the others is kept.
    level : float
        Of the intervals.
    random_state : int or None
        Deals the folds.

    Returns
    -------
    DecompositionResult
        Of kind "decomposition". Where no row has a counterpart: status "not_estimable".

    Raises
    ------
    IdentificationError
        If the graph does not identify the parts; the message has the open path, or the recanting
        witness and what is identified in spite of it.
    GraphError
        If the graph has no node of the column (standard fairness), or a mediator is none.
    DataError
        If log, column or groups cannot be used.
    StudyError
        If options mean nothing together.

    Warns
    -----
    OverlapWarning
        If more than a hundredth of the rows are set aside.

    Notes
    -----
    Means of doubly robust scores, cross-fitted, with the error of linear nuisances in their
    influence; the parts by the delta method on the joint influence of the group
    means; intervals clustered by user and item (provider). Parts speak of disparities through
    pathways, never of "the effect of" an attribute.

    Examples
    --------
    >>> import causalrec as cr
    >>> from causalrec.audits import decompose_gap
    >>> world = cr.simulate("shop", n_users=300, n_items=60, random_state=1)
    >>> found = decompose_gap(world.log, world.graph, by="gender", groups=("f", "m"), n_repeats=1)
    >>> [row.label for row in found.parts]
    ['baseline', 'prevalence', 'effect', 'selection']
    >>> bool(abs(sum(row.value for row in found.parts) - found["gap"].value) < 1e-10)
    True
    """
    checked = checked_graph(graph)
    question = ask(
        log, checked, by=by, groups=groups, method=method, effect=effect, sampled=sampled,
        min_cell=min_cell, outcome_model=outcome_model, propensity=propensity, floor=floor,
        n_folds=n_folds, n_repeats=n_repeats, level=level, random_state=random_state,
        allowed_mediators=None if allowed_mediators is None else _names(allowed_mediators),
    )  # fmt: skip
    if method == "exposure":
        _check_roles(question)
    pathways = identify_gap(
        checked, by=by, method=method, effect=question.effect,
        allowed_mediators=question.allowed_mediators,
    )  # fmt: skip
    if question.hidden:
        return _write(question, pathways, None)
    return _write(question, pathways, compute(question, read_rows(question, pathways)))


def _names(given: Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _check_roles(question: GapQuestion) -> None:
    """Refuse a graph whose exposure or outcome is another column of the log than the log's own."""
    log, graph = question.log, question.graph
    known = {*log.users.columns, *log.items.columns, *log.events.columns}
    known |= set(log.columns.named().values())
    for role in ("exposure", "outcome"):
        node, named = getattr(graph, role), getattr(log.columns, role)
        column = None if node is None else graph.nodes[node].column
        if column != named and column in known:
            raise DataError(
                f"The graph's {role} {node!r} is column {column!r}, but the log's {role} is"
                f" {named!r}: the exposure decomposition takes the log's own. Ask"
                " method='standard_fairness', which takes the graph's outcome, or name"
                f" {role}={column!r} when the log is made."
            )


def _write(
    question: GapQuestion, pathways: Pathways, computed: Computed | None
) -> DecompositionResult:
    """Return the result; None is a decomposition of groups that must not be shown."""
    outcome = pathways.outcome
    metric = f"gap in {outcome}"
    rows, estimate = _rows(question, computed, metric, outcome)
    rows = hide_small_groups(rows, question.min_cell, [question.attribute])
    shown = computed is not None and rows[0].status != "suppressed"
    tables: tuple[Table, ...] = ()
    stated = pathways.assumptions
    notes: tuple[str, ...] = (pathways.words,)
    if computed is not None and shown:
        tables, stated, notes = _beside(question, pathways, computed, rows, metric)
    judged = sum(row.p_adjusted is not None for row in rows)
    result = DecompositionResult(
        kind="decomposition",
        title=f"Parts of the {metric} by {question.by}",
        question=f"Through which pathway does the gap in {outcome} between {question.names[0]} and"
        f" {question.names[1]} arise?",
        answer=words.answer(question, rows, outcome),
        rows=rows,
        tables=tables,
        assumptions=stated,
        notes=notes,
        family=multiplicity(judged, "holm", "parts of the gap") if judged else "",
        graph_dot=question.graph.to_dot(),
        adjustment=pathways.nodes,
        provenance=provenance(question.whole, question.random_state, question.config),
    )
    if estimate is not None and shown:
        result._internals = {
            "estimate": estimate, "question": question, "pathways": pathways, "computed": computed,
        }  # fmt: skip
    return result


def _beside(
    question: GapQuestion,
    pathways: Pathways,
    computed: Computed,
    rows: Sequence[Row],
    metric: str,
) -> tuple[tuple[Table, ...], tuple[Assumption, ...], tuple[str, ...]]:
    """Return tables, assumptions and notes of groups that may be shown."""
    parts, robust = computed.parts, None
    tables: tuple[Table, ...] = ()
    if parts is not None:
        robust = words.robustness(parts, rows)
        behind = words.behind(question, pathways, computed)
        tables = (words.waterfall(rows, metric), robust, behind)
    said = words.meanings(question, pathways, () if parts is None else parts.labels)
    return (
        tables,
        words.assumptions(question, pathways, computed, robust),
        words.notes(question, pathways, computed, said),
    )


def _rows(
    question: GapQuestion, computed: Computed | None, metric: str, outcome: str
) -> tuple[tuple[Row, ...], Estimate | None]:
    """Return gap, parts, group means and the naive gap; the first two joint in an estimate."""
    counts = question.attribute.counts
    levels = (question.first, question.second)
    means = tuple(f"mean, {name}" for name in question.names)
    groups = {name: {question.by: at} for name, at in zip(means, levels, strict=True)}
    n = {name: counts[at] for name, at in zip(means, levels, strict=True)}
    common = {"unit": question.attribute.unit, "level": question.level}
    if computed is None or computed.parts is None:
        why = "" if computed is None else words.not_estimable(question, computed)
        status: Any = "suppressed" if computed is None else "not_estimable"
        blank = Row(label=GAP, metric=metric, status=status, note=why, derived_from=means, **common)
        each = [
            Row(label=name, metric=f"mean {outcome}", status=status, group=group, **common,
                n=None if computed is None else n[name])
            for name, group in groups.items()
        ]  # fmt: skip
        return (blank, *each), None
    clusters = {name: codes[computed.supported] for name, codes in question.clusters.items()}
    joint = computed.parts.estimate(clusters, question.level)
    joint = joint.relabel([GAP, *computed.parts.labels, *means])
    names = (GAP, *computed.parts.labels)
    smaller = min(n.values())
    settings: dict[str, Any] = {**common, "interval_method": f"t, {clustered(joint)}",
                                "population": "supported rows of the two groups"}  # fmt: skip
    shown = rows_from_estimate(
        joint[names], metric=metric, estimator="dr", n=dict.fromkeys(names, smaller),
        derived_from=dict.fromkeys(names, means), **settings,
    )  # fmt: skip
    of_groups = rows_from_estimate(
        joint[means], metric=f"mean {outcome}", estimator="plain", groups=groups, n=n, null=None,
        **settings,
    )  # fmt: skip
    return (*_judged(shown), _naive(question, metric, means, smaller), *of_groups), joint


def _judged(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the gap as it is, and its parts with Holm's p over them."""
    gap, *parts = rows
    p = [row.p_value for row in parts]
    if any(one is None for one in p):
        return tuple(rows)
    adjusted = holm(np.array(p, dtype=np.float64)).tolist()
    return (
        gap,
        *(
            row.model_copy(update={"p_adjusted": one})
            for row, one in zip(parts, adjusted, strict=True)
        ),
    )


def _naive(question: GapQuestion, metric: str, means: tuple[str, ...], n: int) -> Row:
    """Return the gap of all rows of the two groups, those without a counterpart too."""
    from causalrec.audits._decomposer import outcome_of

    column = question.graph.nodes[str(question.graph.outcome)].column
    joint = Estimate.from_score(
        Score(outcome_of(question, str(column))), question.clusters, ("a", "b"),
        groups=question.side, n_groups=2, level=question.level,
    )  # fmt: skip
    gap = joint.difference("a", "b", NAIVE)
    (row,) = rows_from_estimate(
        gap,
        metric=metric,
        population="all rows of the two groups",
        estimator="naive",
        unit=question.attribute.unit,
        level=question.level,
        n={NAIVE: n},
        derived_from={NAIVE: means},
        interval_method=f"t, {clustered(gap)}",
    )
    return row
