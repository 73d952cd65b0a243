"""The mean outcome over cells, had selection not been at work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from causalrec.errors import IdentificationError, StudyError, check_log, check_seed
from causalrec.evaluation._cells import PopulationName
from causalrec.evaluation._compare import compare_plan
from causalrec.evaluation._disclosure import hide_small_groups
from causalrec.evaluation._engine import key
from causalrec.evaluation._mean_selected import MeanAnswer, MeanQuestion, from_selected
from causalrec.evaluation._mean_shadow import from_shadow, shadow_of
from causalrec.evaluation._mean_slice import from_slice
from causalrec.evaluation._plan import Plan
from causalrec.evaluation._setup import (
    Parts,
    check_estimators,
    check_population,
    check_sampled,
    identify_mean,
    parts_of,
    propensity_of_selected,
    set_aside,
)
from causalrec.results import DEFAULT_MIN_CELL, Result, Row, multiplicity, provenance

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

MeanEstimator = Literal["dr", "ips", "snips", "regression", "naive"]
Using = Literal["observed", "randomized"]
ESTIMATORS = ("dr", "ips", "snips", "regression", "naive")
MARGIN = 0.05


class MeanResult(Result):
    """The answer of `estimate_mean`: the headline is the first row.

    `float(result)` is the headline's value.
    """

    @property
    def value(self) -> float | None:
        """The headline's value; None where there are only bounds."""
        return self.rows[0].value

    @property
    def standard_error(self) -> float | None:
        """The headline's standard error."""
        return self.rows[0].standard_error

    @property
    def naive(self) -> Row:
        """The plain mean of the recorded cells."""
        return next(row for row in self.rows if row.estimator == "naive" and not row.group)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the headline's interval at any level (needs the numbers beside the result)."""
        lower, upper = self.internal("headline").interval(level)[0]
        return float(lower), float(upper)

    def __float__(self) -> float:
        if self.value is None:
            raise TypeError("This mean has no point estimate; read its bounds.")
        return self.value


def estimate_mean(
    log: InteractionLog,
    propensity: Any = None,
    by: str | Sequence[str] | None = None,
    *,
    estimator: MeanEstimator = "dr",
    using: Using | None = None,
    graph: CausalGraph | None = None,
    outcome_model: Any = None,
    sampled: Sequence[str] = ("user", "item"),
    population: PopulationName = "supported",
    force: bool = False,
    randomized_rate: float | None = None,
    clip: float | None = None,
    floor: float = 1e-3,
    min_cell: int = DEFAULT_MIN_CELL,
    level: float = 0.95,
    random_state: int | None = 0,
) -> MeanResult:
    """Estimate the mean outcome over a population of cells, recorded or not.

    Parameters
    ----------
    log : InteractionLog
        Ratings (the mean over eligible cells) or candidates (the mean outcome under exposure over
        their rows). Rows that are `randomized` form a slice: the answer is compared with it.
    propensity : Propensity, array, column name or float, optional
        P(recorded | X); default: a logistic model on the graph's covariates. Where the outcome
        decides its own recording and the graph declares a shadow variable, the default is a
        `ShadowPropensity`, whose weights depend on the outcome; the estimator is then "shadow".
    by : str or sequence of str, optional
        Columns of users or items: one joint estimate, with the gaps between the levels.
    estimator : {"dr", "ips", "snips", "regression", "naive"}
        The headline. "naive" always stands beside it.
    using : {"observed", "randomized"}, optional
        "randomized" estimates from the slice, with its known rate as propensity and an outcome
        model learned on the rest of the log: unbiased whatever selection did there. "observed"
        estimates from the rest. Default: "randomized" where a rating log has a slice, with the
        other compared to it; the graph's refusal of the other is then a note. "regression" is
        always "observed": it would not read the slice.
    graph : CausalGraph, optional
        Asked for `identify("mean")`, by a shadow variable too; its refusal is raised.
    outcome_model : CellOutcomeModel, Recommender or callable(users, items), optional
        For "dr" and "regression"; default: a feature model, cross-fitted by user.
    sampled : tuple
        What the interval treats as drawn: ("user", "item"), ("user",) or ().
    population : {"supported", "all"}
        "all" gives bounds and no point where support fails.
    force : bool
        Go on against the graph's refusal; the result then says "violated".
    randomized_rate : float, optional
        Probability with which each eligible cell entered the slice; default: its share.
    clip : float, optional
        Propensities below it are raised to it (biased, counted).
    floor : float
        Cells with a smaller propensity lack support.
    min_cell : int
        Groups of fewer users are suppressed, and with them what would give them away.
    level : float
        Level of the intervals.
    random_state : int or None
        Seed of the folds.

    Returns
    -------
    MeanResult

    Raises
    ------
    IdentificationError
        If the graph does not identify the mean, or its shadow variable hardly predicts the outcome.
    DataError, StudyError
        If the log or the options do not allow the question.

    Notes
    -----
    Ratios of sums with their own influence, clustered (Cameron, Gelbach & Miller 2011); DR:
    Robins, Rotnitzky & Zhao (1994). The interval takes propensities and outcome model as known,
    except those of a shadow variable (Miao & Tchetgen Tchetgen 2016), whose error it includes.

    Examples
    --------
    >>> import causalrec as cr
    >>> world = cr.simulate("music", n_users=300, n_items=60, density=0.2, random_state=1)
    >>> mean = cr.estimate_mean(world.log, world.potential.propensity, estimator="snips")
    >>> [row.label for row in mean.rows]
    ['mean', 'mean (naive)', 'naive - snips']
    """
    check_log(log)
    check_seed(random_state)
    log.require("ratings", "candidates", purpose="a mean over cells, recorded or not")
    if using not in {None, "observed", "randomized"}:
        raise StudyError(f"using={using!r} is not known: 'observed' or 'randomized'.")
    question = MeanQuestion(
        estimator=check_estimators(estimator, ESTIMATORS)[0],
        sampled=check_sampled(sampled),
        population=check_population(population),
        clip=clip,
        floor=floor,
        level=level,
        seed=random_state,
        by=by,
        outcome_model=outcome_model,
        propensity=propensity,
        min_cell=min_cell,
    )
    if question.estimator == "regression" and not question.sampled:
        raise StudyError(
            "sampled=() asks for the error of what was recorded at random, and a regression takes"
            " its outcome model as known: nothing in it is random, so it has no such error. Choose"
            " 'dr', or name what was sampled, for example ('user', 'item')."
        )
    parts = parts_of(log)
    if question.estimator == "regression" and (using == "randomized" or parts.selected is None):
        raise StudyError(
            "A regression reads the outcome model alone, which is learned on the rest of the log:"
            " the slice would not be in the answer. Choose 'dr', which corrects the model by the"
            " slice; or using='observed'."
        )
    has_slice = parts.randomized is not None and log.kind == "ratings"
    if question.estimator == "regression":
        using = "observed"
    if using == "randomized" or parts.selected is None:
        return _result(parts, question, from_slice(parts, question, randomized_rate), True)
    if using is None and has_slice:
        return _from_both(parts, question, randomized_rate, graph, force)
    found = _of_selected(parts, question, graph, force)
    if parts.randomized is not None and not has_slice:
        found = replace(found, notes=(*found.notes, set_aside(parts)))
    result = _result(parts, question, found, False, graph)
    if parts.randomized is None or not has_slice:
        return _with(result, found, plan=found.plan)
    return _with(_opened(result, found, parts.randomized), found, plan=found.plan)


def _of_selected(
    parts: Parts, question: MeanQuestion, graph: CausalGraph | None, force: bool
) -> MeanAnswer:
    assert parts.selected is not None
    question = replace(question, propensity=propensity_of_selected(question.propensity, parts))
    shadow = shadow_of(parts.selected, question.propensity, graph, question.estimator)
    if shadow is not None:
        return from_shadow(parts.selected, question, *shadow)
    estimand, refusal = identify_mean(graph, force)
    return from_selected(parts.selected, question, graph, estimand, refusal)


def _from_both(
    parts: Parts,
    question: MeanQuestion,
    declared: float | None,
    graph: CausalGraph | None,
    force: bool,
) -> MeanResult:
    """Answer from the slice, and say whether the rest of the log would have told the same."""
    assert parts.selected is not None
    assert parts.randomized is not None
    found = from_slice(parts, question, declared)
    result = _result(parts, question, found, True, graph)
    try:
        biased = _of_selected(parts, question, graph, force)
    except IdentificationError as refusal:
        note = f"The rest of the log does not identify the mean, so only the slice spoke: {refusal}"
        return _with(result.model_copy(update={"notes": (*result.notes, note)}), found)
    return _with(_opened(result, biased, parts.randomized), found, plan=biased.plan)


def _result(
    parts: Parts,
    question: MeanQuestion,
    found: MeanAnswer,
    from_the_slice: bool,
    graph: CausalGraph | None = None,
) -> MeanResult:
    gaps = [row for row in found.rows if row.metric == "gap"]
    rows, tables = hide_small_groups(
        found.rows, found.tables, found.plan.groups, parts.whole, question.min_cell
    )
    result = MeanResult(
        kind="mean",
        title="Mean outcome over cells",
        question="What would the mean outcome be, had selection not been at work?",
        answer=found.answer,
        rows=rows,
        tables=tables,
        assumptions=found.assumptions,
        notes=(*found.notes, *parts.whole.notes),
        family=multiplicity(len(gaps), "holm", "gaps between groups") if gaps else "",
        adjustment=found.adjustment,
        graph_dot="" if graph is None else graph.to_dot(),
        provenance=provenance(
            parts.whole,
            question.seed,
            {
                "estimator": question.estimator,
                "using": "randomized" if from_the_slice else "observed",
                "sampled": list(question.sampled),
                "population": question.population,
                "clip": question.clip,
                "floor": question.floor,
                "min_cell": question.min_cell,
            },
        ),
    )
    return _with(result, found)


def _with(result: MeanResult, found: MeanAnswer, plan: Plan | None = None) -> MeanResult:
    head = key(found.plan.terms[0], found.plan.estimators[0])
    carried = result.with_internals(
        estimate=found.sums.estimate, headline=found.sums.estimate[head], plan=plan
    )
    assert isinstance(carried, MeanResult)
    return carried


def _opened(result: MeanResult, biased: MeanAnswer, slice_log: InteractionLog) -> MeanResult:
    """Let the comparison of the biased log with the slice open the result."""
    compared = compare_plan(biased.plan, slice_log, margin=MARGIN)
    known = {row.label for row in result.rows}
    return result.model_copy(
        update={
            "answer": f"{compared.answer} {result.answer}",
            "rows": (*result.rows, *(r for r in compared.rows[:3] if r.label not in known)),
            "sections": (compared,),
        }
    )
