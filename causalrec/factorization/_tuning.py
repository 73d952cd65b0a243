"""Choosing hyper-parameters on the biased log: SNIPS cross-validation, never the test set."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import StudyError, check_log, check_seed, check_whole_number, near_miss
from causalrec.factorization._model import DebiasedMF
from causalrec.factorization._options import check_options
from causalrec.factorization._recipe import IMPUTED, Recipe
from causalrec.factorization._training import Problem, Trained, prior_on_cells, train
from causalrec.factorization._tuning_positives import relevance_estimate, relevance_losses
from causalrec.factorization._tuning_result import (
    OF_OUTCOMES,
    OF_RELEVANCE,
    RULES,
    TuningResult,
    label,
    tuning_result,
)
from causalrec.inference import Estimate
from causalrec.results import provenance
from causalrec.scores import Score

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances import Propensity

Selection = Literal["minimum", "one_standard_error"]
Grid = Mapping[str, Sequence[Any]]

DEFAULT_GRID: dict[str, tuple[Any, ...]] = {
    "n_factors": (0, 2, 8),
    "regularization": (1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
}


def tune(
    model: DebiasedMF,
    log: InteractionLog,
    propensity: Propensity | ArrayLike | str | None = None,
    *,
    graph: CausalGraph | None = None,
    grid: Grid | None = None,
    n_folds: int = 4,
    n_repeats: int = 2,
    selection: Selection = "minimum",
    random_state: int | None = 0,
    user_features: Any = None,
    item_features: Any = None,
) -> TuningResult:
    """Choose hyper-parameters by the SNIPS squared error of held-out cells of the biased log.

    Every configuration sees the same folds and the same number of sweeps, whatever the
    estimator: with "estimator" in the grid, estimators are compared on one budget, in the same
    held-out cells, so that their differences have paired intervals. Folds split the observed
    cells at random, so a cell of the training folds is observed with probability p (k - 1) / k,
    and one of the held-out fold with p / k; both are rescaled. relmf, whose logs hold positives
    alone, is chosen by the squared error of relevance that the held-out positives estimate.

    Parameters
    ----------
    model : DebiasedMF
        What is not in the grid stays as it is here. It is not changed.
    log : InteractionLog
        The biased training log; keep any randomised slice out of it.
    propensity : Propensity, array, str, float or None
        As in `DebiasedMF.fit`. naive needs it too, for validation only.
    graph : CausalGraph, optional
    grid : mapping of parameter to values, optional
        Default: n_factors 0, 2, 8 by regularization 1, 2, 4, 8, 16, 32. "estimator" may be one
        of the parameters.
    n_folds : int, default 4
    n_repeats : int, default 2
        Random partitions averaged over: a single one often decides between two neighbours.
    selection : {"minimum", "one_standard_error"}
        The smallest loss; or the simplest configuration (fewest factors, then largest
        regularization) whose paired difference from it is within one standard error.
    random_state : int or None
        Draws the folds. The fits use the model's own seed.
    user_features, item_features : array, frame or callable, optional
        As in `DebiasedMF.fit`. Held-out cells are cells of known users and items: what is best
        for items that nobody has rated is another question, asked by holding out whole items.

    Returns
    -------
    TuningResult
        `.model` equals `model.set_params(**result.selected).fit(log, propensity)`. Table "grid"
        has the loss of each configuration, "differences" its paired difference from the selected
        one, and "estimators" the best of each estimator, where there are several.

    Raises
    ------
    StudyError
        If the grid names no hyper-parameter, or an option means nothing.

    References
    ----------
    Schnabel et al. (2016), Recommendations as treatments, section 5 (propensities of folds).
    Saito et al. (2020), Unbiased recommender learning from missing-not-at-random implicit feedback.

    Examples
    --------
    >>> from causalrec.simulation import simulate
    >>> world = simulate("music", n_users=60, n_items=30, random_state=0)
    >>> found = tune(DebiasedMF("ips"), world.log, 0.2, n_repeats=1,
    ...              grid={"n_factors": [0, 2], "regularization": [4.0, 16.0]})
    >>> len(found.rows), sorted(found.selected)
    (4, ['n_factors', 'regularization'])
    """
    check_log(log)
    configurations = _configurations(DEFAULT_GRID if grid is None else grid)
    _check(n_folds, n_repeats, selection, random_state)
    recipes = _recipes(model, configurations)
    given = user_features, item_features
    lead = _strictest(model, configurations)
    objected = lead._objected(log, propensity, graph, weigh_naive=True, given=given)
    prepared, problem = objected.prepared, objected.prepared.problem
    rng = np.random.default_rng(random_state)
    folds = [_folds(problem.pattern.n, n_folds, rng) for _ in range(n_repeats)]
    labels = [label(one) for one in configurations]
    if of_positives := recipes[0].estimator == "relmf":
        parts = [relevance_losses(problem, recipes, fold, n_folds) for fold in folds]
        estimate = relevance_estimate(np.mean(parts, axis=0), labels)
    else:
        parts = [_held_out_losses(problem, recipes, fold, n_folds) for fold in folds]
        estimate = _estimate(problem, np.mean(parts, axis=0), labels)
    at = _select(estimate, configurations, selection, model.n_factors)
    chosen = configurations[at]
    refitted = DebiasedMF(**{**model.get_params(), **chosen})
    trained = objected.finish(train(problem, recipes[at]))
    refitted._remember(objected.log, prepared, trained)
    config = {
        "estimator": model.estimator,
        "selected": chosen,
        "grid": {name: list(values) for name, values in (grid or DEFAULT_GRID).items()},
        "n_folds": n_folds,
        "n_repeats": n_repeats,
        "selection": selection,
    }
    named = dict(chosen).get("estimator", model.estimator)
    notes = (RULES[selection], *prepared.notes)
    held_out = OF_RELEVANCE if of_positives else OF_OUTCOMES
    result = tuning_result(estimate, configurations, chosen, named, notes, held_out)
    result = result.model_copy(update={"provenance": provenance(log, random_state, config)})
    return cast(TuningResult, result.with_internals(model=refitted, estimate=estimate))


def _configurations(grid: Grid) -> list[dict[str, Any]]:
    known = [one.name for one in fields(Recipe)]
    for name, values in grid.items():
        if name not in known:
            raise StudyError(
                f"The grid names {name!r}, which is no hyper-parameter of a DebiasedMF."
                f"{near_miss(name, known)} They are: {', '.join(known)}."
            )
        if isinstance(values, str) or not len(values):
            raise StudyError(f"The grid's values of {name!r} must be a list: got {values!r}.")
        for value in values:
            check_options({name: value})
    if not grid:
        raise StudyError("The grid is empty: name at least one hyper-parameter with its values.")
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _recipes(model: DebiasedMF, configurations: list[dict[str, Any]]) -> list[Recipe]:
    """Return the recipe of each configuration; each is checked as a whole."""
    several = any("estimator" in one for one in configurations)
    if several and (model.objective != "preference" or model.popularity != "ignore"):
        raise StudyError(
            "Estimators of one grid must learn from the same outcomes, and objective='effect' and"
            " popularity= make others of each: leave 'estimator' out of the grid."
        )
    params = model.get_params()
    recipes = [DebiasedMF(**{**params, **one})._recipe() for one in configurations]
    of_positives = {recipe.estimator == "relmf" for recipe in recipes}
    if len(of_positives) == 2:
        raise StudyError(
            "relmf learns relevance from positives, the other estimators outcomes from observed"
            " cells; their held-out losses are not comparable: tune relmf on its own."
        )
    return recipes


def _strictest(model: DebiasedMF, configurations: list[dict[str, Any]]) -> DebiasedMF:
    """Return the model of the estimator that asks most of a propensity, among those compared."""
    named = [one.get("estimator", model.estimator) for one in configurations]
    lead = next((one for one in named if one in {*IMPUTED, "mrdr"} - {"eib"}), named[0])
    options = {**model.get_params(), **configurations[named.index(lead)]}
    return DebiasedMF(**options)


def _check(n_folds: int, n_repeats: int, selection: str, random_state: int | None) -> None:
    check_whole_number("n_folds", n_folds, least=2)
    check_whole_number("n_repeats", n_repeats, least=1)
    check_seed(random_state)
    if selection not in ("minimum", "one_standard_error"):
        raise StudyError(
            f"selection={selection!r} of tune is not one of 'minimum', 'one_standard_error'."
            f"{near_miss(selection, ['minimum', 'one_standard_error'])}"
        )


def _folds(n: int, n_folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    if n < n_folds:
        raise StudyError(f"{n_folds} folds need at least as many observed cells; there are {n}.")
    return rng.permutation(n) % n_folds


def _held_out_losses(
    problem: Problem,
    recipes: list[Recipe],
    fold: NDArray[np.int64],
    n_folds: int,
) -> NDArray[np.float64]:
    """Return the squared error of each cell, predicted by the folds without it; (n, q)."""
    losses = np.empty((problem.pattern.n, len(recipes)))
    for held_out in range(n_folds):
        keep = fold != held_out
        part, held = problem.part(keep, 1.0 - 1.0 / n_folds), problem.part(~keep, 1.0 / n_folds)
        for at, recipe in enumerate(recipes):
            trained = train(part, recipe)
            losses[~keep, at] = np.square(held.outcome - _predict(trained, held))
    return losses


def _predict(trained: Trained, problem: Problem) -> NDArray[np.float64]:
    pattern = problem.pattern
    predicted = np.asarray(trained.factors.predict(pattern.users, pattern.items), dtype=np.float64)
    return (
        predicted if trained.prior is None else predicted + prior_on_cells(trained.prior, problem)
    )


def _estimate(problem: Problem, losses: NDArray[np.float64], labels: list[str]) -> Estimate:
    # p / k of each held-out fold: the k cancels between numerator and denominator.
    weights = 1.0 / problem.propensity
    return Estimate.from_score(
        Score(losses * weights[:, None], np.broadcast_to(weights[:, None], losses.shape)),
        {"user": problem.pattern.users, "item": problem.pattern.items},
        labels,
        population="all cells of the grid",
        estimator="snips",
        one_row_per_cell=True,
    )


def _select(
    estimate: Estimate,
    configurations: list[dict[str, Any]],
    selection: Selection,
    n_factors: int = 0,
) -> int:
    best = int(np.argmin(estimate.value))
    if selection == "minimum" or len(configurations) == 1:
        return best
    others = [name for name in estimate.labels if name != estimate.labels[best]]
    gaps = estimate.contrast({name: {name: 1.0, estimate.labels[best]: -1.0} for name in others})
    close = {estimate.labels[best]} | {
        name
        for name, gap, error in zip(others, gaps.value, gaps.standard_error, strict=True)
        if gap <= error
    }
    candidates = [at for at, name in enumerate(estimate.labels) if name in close]
    return min(
        candidates,
        key=lambda at: (
            configurations[at].get("n_factors", n_factors),
            -configurations[at].get("regularization", 0.0),
            at,
        ),
    )
