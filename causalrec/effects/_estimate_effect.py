"""`estimate_effect`: from a log of candidates and a declared graph to the effect of exposure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import numpy as np

from causalrec.effects._contrast import Contrast, find_contrast
from causalrec.effects._contrast_result import WORKS_ON_TWO_ARMS, as_contrast, no_verb
from causalrec.effects._econml import compute_econml, effect_by_driv
from causalrec.effects._front_door_result import effect_by_front_door
from causalrec.effects._instrument import effect_by_instrument
from causalrec.effects._level_population import find_levels
from causalrec.effects._levels import LevelComputation, LevelFitter
from causalrec.effects._nuisances import Fitter
from causalrec.effects._population import Population, find_population
from causalrec.effects._question import BY_ECONML, OTHER_WAYS, Estimator, OtherWay, Question
from causalrec.effects._result import EffectResult
from causalrec.effects._row_weights import read_weights, rows_that_count
from causalrec.effects._scores import Computation, cluster_codes
from causalrec.effects._unit_words import on_units
from causalrec.effects._units import as_units
from causalrec.effects._write import config_of, write_effect
from causalrec.effects._write_levels import write_levels
from causalrec.errors import DataError, StudyError, check_log, near_miss
from causalrec.graph import checked_graph
from causalrec.results import provenance

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from causalrec.effects._units import Units
    from causalrec.graph import CausalGraph, Estimand
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances import Propensity

ADJUSTMENT = ("randomised", "back-door")
"""What the estimators that adjust for covariates need the graph to identify by."""


def estimate_effect(
    log: InteractionLog,
    graph: CausalGraph,
    *,
    estimator: Estimator | OtherWay = "dr",
    estimand: Literal["ate", "att", "atu", "overlap"] = "ate",
    contrast: tuple[Any, ...] = (1, 0),
    unit: Literal["item", "slate", "user"] = "item",
    outcome_model: Any = None,
    propensity: Propensity | ArrayLike | str | Mapping[Any, Any] | None = None,
    weights: ArrayLike | str | None = None,
    sampled: Sequence[str] = ("user", "item"),
    clip: float | None = None,
    floor: float = 1e-3,
    n_folds: int = 5,
    n_repeats: int = 3,
    level: float = 0.95,
    random_state: int | None = 0,
) -> EffectResult:
    """Estimate what being exposed causes, adjusting for what the graph says must be.

    Parameters
    ----------
    log : InteractionLog
        Of candidates: eligible rows, exposed or not, with an outcome that can occur in both arms.
        For a contrast of positions or of other columns, of impressions too.
    graph : CausalGraph
        Decides the covariates, or refuses.
    estimator : str
        "dr" is right if the propensities or the outcome models are. "ips" and "snips" need the
        propensities, "regression" the outcome models. By EconML, on our folds and with our
        interval, its own in a table: "econml" (`LinearDRLearner`), "dr-learner" (`DRLearner`) and
        "causal-forest-dml" (`CausalForestDML`), by the doubly robust score of their nuisances;
        "linear-dml" (`LinearDML`), whose effect is that in the overlap; "driv"
        (`LinearIntentToTreatDRIV`), the local effects of the instrument's compliers averaged over
        all rows, for an instrument drawn at random. They estimate their own propensities. "iv" is
        the effect among the rows whose exposure the graph's instrument changes (LATE; Angrist,
        Imbens & Rubin 1996): the ratio of the doubly robust effects of the instrument on outcome
        and exposure, with Anderson and Rubin's interval where the instrument is weak; `propensity`
        is then that of the instrument. "front-door" is the effect through the graph's mediator that
        carries all of it, of any kind (Fulcher, Shpitser, Marealle & Tchetgen Tchetgen 2020).
    estimand : {"ate", "att", "atu", "overlap"}
        Average over the supported rows, over the exposed or the unexposed of them, or weighted by
        p (1 - p).
    contrast : (1, 0), (0, 1), or values of the exposure
        Exposed minus unexposed, or the reverse. Where the graph's exposure is another column of
        the log (a position, the arm of a test, any column of up to fifty values), two of its
        values, `(1, 5)` or `("treatment", "control")`: the first minus the second; or more, the
        first against each of the others with simultaneous intervals. "ate" is then an average over
        all rows, those at other values too, with one propensity and one outcome model a value
        (Imbens 2000); "att" and "atu" are over the rows at the first and at the second value,
        "overlap" over both. Outcomes may be binary, continuous or ordinal: of an ordinal one the
        effect is in its own units (rating points).
    unit : {"item", "slate", "user"}
        Whose outcome is counted. "item": the row's own, with the rest of the slate as it was.
        "slate", "user": the total over all rows of the row's slate (user), in which what items
        take from each other cancels. Where all rows of a unit are exposed or none, its rows become
        one and the effect is that of exposing all of them; where exposure differs within units,
        it is that of one more exposure, its neighbours' as they were. The answer says which;
        intervals then speak of new users of this catalogue.
    outcome_model : ArmOutcomeModel or scikit-learn estimator, optional
        Unfitted; one is fitted for each arm. Default: logistic for a binary outcome, else ridge.
    propensity : optional
        Given propensities win: a fitted `PropensityModel`, `KnownPropensity`, an array of a value
        a row or a cell, or a column's name. An unfitted `PropensityModel` is cross-fitted. Default:
        those logged, else a logistic model of the adjustment set. For a contrast of values: a
        dict of value to column, array or constant, P(value | covariates).
    weights : array (n_rows,) or str, optional
        How much each row counts in the population that the effect speaks of (a column's name, or a
        number of at least 0 a row): fixed, not estimated. A row of weight 2 counts as two rows do,
        in the nuisances too.
    sampled : sequence of str
        What the interval treats as drawn: ("user", "item"), ("user",), other clusters ("provider",
        "slate", "arm"), or () for these very rows.
    clip : float, optional
        Bring propensities into [clip, 1 - clip], and count them.
    floor : float
        Rows with a propensity outside [floor, 1 - floor] are set aside and counted.
    n_folds : int
        Folds of users for cross-fitting.
    n_repeats : int
        Repeated with other folds; the repeat with the median estimate is kept whole.
    level : float
        Confidence level.
    random_state : int or None
        Deals the folds.

    Returns
    -------
    EffectResult
        Rows: the effect, the naive difference of observed means, and their difference.

    Raises
    ------
    DataError
        If the log has no unexposed arm (it says what to log), lacks a covariate's column or a
        value of the contrast; or if weights are negative or not finite.
    IdentificationError
        If the graph does not identify the effect; the message has the open path.
    OverlapError
        If no supported row is left in one of the arms.
    StudyError
        If options contradict each other.

    Warns
    -----
    OverlapWarning
        If more than a hundredth of the rows are set aside.

    Notes
    -----
    The score is that of Robins, Rotnitzky & Zhao (1994), cross-fitted (Chernozhukov et al. 2018,
    definition 3.1) with the folds dealt by user. Standard errors are two-way clustered (Cameron,
    Gelbach & Miller 2011); the error of linear nuisances is part of them (Newey & McFadden 1994,
    section 6).

    Examples
    --------
    >>> import causalrec as cr
    >>> world = cr.simulate("shop", n_users=400, n_items=100, random_state=1)
    >>> effect = cr.estimate_effect(world.log, world.graph, n_repeats=1)
    >>> low, high = effect.interval()
    >>> bool(low < world.population_truth["ate"] < high < effect.naive)
    True
    >>> [row.label for row in effect.by("gender").rows]
    ['gender=f', 'gender=m', 'gap in gender: f - m']

    What does the first position do to a click, against the fifth?

    >>> feed = cr.simulate("social", n_users=200, n_items=40, random_state=1)
    >>> effect = cr.estimate_effect(feed.log, feed.graph, contrast=(1, 5), n_repeats=1)
    >>> low, high = effect.interval()
    >>> bool(low < feed.truth["effect:1-5"] < high)
    True
    """
    check_log(log)
    checked = checked_graph(graph)
    given = log
    row_weights, weighting = read_weights(weights, given)
    log, row_weights, propensity = rows_that_count(given, row_weights, propensity)
    levels = find_contrast(log, exposure_column(checked), contrast)
    question = Question.of(
        contrast=contrast, unit=unit, sampled=sampled, estimator=estimator, estimand=estimand,
        clip=clip, floor=floor, n_folds=n_folds, n_repeats=n_repeats, level=level,
        random_state=random_state, weighting=weighting, uncounted=given.n_rows - log.n_rows,
        column="" if levels is None else levels.column,
        levels=() if levels is None else levels.levels,
    )  # fmt: skip
    if levels is None:
        log.require("candidates", purpose="the effect of exposure")
    check_combination(question, estimator)
    strategies = (OTHER_WAYS[estimator],) if estimator in OTHER_WAYS else ADJUSTMENT
    identified = checked.identify(query="effect", strategies=strategies)
    check_columns(log, graph, identified, own_exposure=levels is None)
    cluster_codes(log, question.sampled)  # refuse unknown clusters before the work
    if levels is not None and propensity is None and identified.strategy == "randomised":
        # A model would see the few users of a tail, all in one arm by chance, as without overlap.
        propensity = levels.shares(row_weights)
    if levels is not None and not levels.is_of_two_arms(estimand):
        return _effect_of_levels(
            log, graph, identified, levels, question, outcome_model, propensity, row_weights
        )
    if levels is not None:
        return _effect_of_two(
            log, graph, identified, levels, question, outcome_model, propensity, row_weights
        )
    if estimator in OTHER_WAYS:
        ways = {
            "iv": effect_by_instrument, "driv": effect_by_driv, "front-door": effect_by_front_door
        }  # fmt: skip
        return ways[estimator](log, graph, identified, question, outcome_model, propensity)
    if unit != "item":
        units = as_units(log, graph, identified, question, propensity, unit)
        return on_units(_by_adjustment(units, outcome_model), units, log)
    population = find_population(log, graph, propensity, question, row_weights)
    kept, spread = _median_of_repeats(population, graph, question, outcome_model)
    found = write_effect(kept, identified, spread)
    return found if row_weights is None else without_verbs(found, kept)


def _by_adjustment(units: Units, outcome_model: Any) -> EffectResult:
    """Return the effect in the log of units, in the words of rows."""
    population = find_population(units.log, units.graph, units.propensity, units.question)
    kept, spread = _median_of_repeats(population, units.graph, units.question, outcome_model)
    return write_effect(kept, units.identified, spread)


def exposure_column(graph: CausalGraph) -> str:
    """Return the column of the graph's exposure; "" where the graph names none."""
    return "" if graph.exposure is None else graph.nodes[graph.exposure].column or ""


def check_combination(question: Question, estimator: str) -> None:
    """Refuse estimators that cannot weight rows or compare several values, with the way out.

    Raises
    ------
    StudyError
        If they are asked to.
    """
    what = "row weights" if question.weighting else ""
    what = "values of a column" if question.levels else what
    if what and estimator not in {"dr", "ips", "snips", "regression"}:
        raise StudyError(
            f"estimator={estimator!r} does not take {what}: choose 'dr', 'ips', 'snips' or"
            " 'regression', which do."
        )


def _effect_of_levels(
    log: InteractionLog,
    graph: CausalGraph,
    identified: Estimand,
    levels: Contrast,
    question: Question,
    outcome_model: Any,
    propensity: Any,
    weights: NDArray[np.float64] | None,
) -> EffectResult:
    """Return the effect of values of an exposure over all rows, those at other values too."""
    if question.estimand != "ate":
        raise StudyError(
            f"estimand={question.estimand!r} compares two values, and contrast={levels.levels!r}"
            f" names {len(levels.levels)}. Ask for two of them, or for the 'ate'."
        )
    population = find_levels(log, graph, levels, propensity, question, weights)
    fitter = LevelFitter(population, graph, question, outcome_model)
    kept, spread = _median(
        question, lambda seed: LevelComputation(population, question, fitter.fit(seed))
    )
    return write_levels(kept, identified, spread)


def _effect_of_two(
    log: InteractionLog,
    graph: CausalGraph,
    identified: Estimand,
    levels: Contrast,
    question: Question,
    outcome_model: Any,
    propensity: Any,
    weights: NDArray[np.float64] | None,
) -> EffectResult:
    """Return the effect of one value against another, over rows at either alone."""
    as_asked = levels.two_arms
    pair, inside = as_asked(log), levels.codes >= 0
    given = levels.of_first(propensity, log)
    of_rows = None if weights is None else weights[inside]
    population = find_population(pair, graph, given, question, of_rows)
    kept, spread = _median_of_repeats(population, graph, question, outcome_model)
    found = write_effect(kept, identified, spread)
    notes = found.notes if inside.all() else (*found.notes, levels.left_out_words(question))
    update = {
        "notes": notes,
        "provenance": provenance(log, question.random_state, config_of(question)),
    }
    result = as_contrast(found, update, by=kept, as_asked=as_asked)
    return result if weights is None else without_verbs(result, kept)


def without_verbs(found: EffectResult, computation: Computation) -> EffectResult:
    """Return an effect on weighted rows with the verbs that count weights."""
    result = as_contrast(found, {}, by=computation)
    for name in WORKS_ON_TWO_ARMS:
        result._internals.pop(name, None)
    result._internals["why"] = no_verb(
        "The rows are weighted", "Ask for the effect without weights=... to have every verb."
    )
    return result


def check_columns(
    log: InteractionLog, graph: CausalGraph, identified: Estimand, *, own_exposure: bool = True
) -> None:
    """Refuse a graph that speaks of other columns than the log does.

    A node whose column is nowhere in the log stands for the column that plays its role.

    Raises
    ------
    DataError
        If a covariate has no column, or the exposure (outcome) of the graph is another column
        of the log than its exposure (outcome).
    """
    for covariate in identified.covariates:
        log.entity_of(covariate.column)  # says which columns there are, and the near miss
    known = {*log.users.columns, *log.items.columns, *log.events.columns}
    roles = {"exposure": identified.exposure} if own_exposure else {}
    roles["outcome"] = identified.outcome
    for role, node in roles.items():
        column, named = graph.nodes[str(node)].column, getattr(log.columns, role)
        others = known | set(log.columns.named().values()) - {named}
        if column != named and column in others:
            raise DataError(
                f"The graph's {role} {node!r} is column {column!r}, but the log's {role} is"
                f" {named!r}.{near_miss(str(named), graph.nodes)} Name {role}={column!r} when the"
                f" log is made, or set column={named} on the node, if it is meant."
            )


def _median_of_repeats(
    population: Population, graph: CausalGraph, question: Question, outcome_model: Any
) -> tuple[Computation, tuple[float, ...]]:
    """Return the repeat with the median estimate (the lower of two), and all estimates."""
    fitter = Fitter(population, graph, question, outcome_model)

    def compute(seed: int) -> Computation:
        if question.estimator in BY_ECONML:
            return compute_econml(population, question, outcome_model, seed)
        return Computation(population, question, fitter.fit(seed))

    return _median(question, compute)


class _HasValue(Protocol):
    def value(self) -> float:
        """Return the estimate alone."""
        ...


Found = TypeVar("Found", bound=_HasValue)


def _median(question: Question, compute: Callable[[int], Found]) -> tuple[Found, tuple[float, ...]]:
    """Return the repeat with the median estimate (the lower of two), and all estimates."""
    seeds = np.random.default_rng(question.random_state).integers(0, 2**31, question.n_repeats)
    found: list[tuple[float, int, Found]] = []
    for number, seed in enumerate(seeds.tolist()):
        computation = compute(seed)
        found.append((computation.value(), number, computation))
    ordered = sorted(found, key=lambda one: one[:2])
    return ordered[(len(ordered) - 1) // 2][2], tuple(one[0] for one in found)
