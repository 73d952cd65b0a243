"""From a log to the arrays that training needs, and from what was trained to a state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError, StudyError
from causalrec.factorization._common import Pattern
from causalrec.factorization._eligible_items import EligibleItems
from causalrec.factorization._prior_sweeps import Warm
from causalrec.factorization._recipe import (
    WITHOUT_PROPENSITY,
    Recipe,
    correction_scale,
    imputation_weighting,
    raw_weights,
)
from causalrec.factorization._side_features import PriorScale, SideFeatures, learn
from causalrec.factorization._state import (
    Events,
    FeatureState,
    PriorSide,
    PriorState,
    Scales,
    State,
)
from causalrec.factorization._training import Problem, Trained
from causalrec.interactions import ObservedCells

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances import Propensity

NOTHING = 1e-3
"""Factors whose product is smaller than this share of the outcome's spread are none."""


@dataclass(frozen=True)
class CellPropensities:
    """Propensities of the observed cells, and what is to be said of them.

    Attributes
    ----------
    values : float64 array, shape (observed cells,)
    share_clipped : float
    notes : tuple of str
    """

    values: NDArray[np.float64]
    share_clipped: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Prepared:
    """A training problem with what does not go into the arithmetic."""

    problem: Problem
    share_clipped: float
    notes: tuple[str, ...]
    sides: tuple[SideFeatures, SideFeatures] | None


def propensities(
    log: InteractionLog,
    propensity: Propensity | ArrayLike | str | None,
    graph: CausalGraph | None,
    estimator: str,
) -> CellPropensities:
    """Return the propensity of each observed cell; ones where naive was given none."""
    from causalrec.nuisances import cell_propensity, refuse_outcome_model, resolve_propensity

    cells = training_cells(log, estimator)
    if propensity is None and estimator in WITHOUT_PROPENSITY:
        return CellPropensities(np.ones(len(cells)), 0.0, (_NO_PROPENSITY[estimator],))
    resolved = resolve_propensity(propensity, log, graph)
    if estimator not in {"naive", "ips", "snips", "eib", "relmf"}:
        refuse_outcome_model(resolved, estimator)
    p = cell_propensity(resolved, log, cells.users, cells.items)
    impossible = np.flatnonzero(~(p > 0.0))
    if len(impossible):
        raise DataError.bad_rows(
            "propensity",
            "is zero for cells that were observed",
            count=len(impossible),
            total=len(p),
            rows=[
                f"user {log.user_ids[cells.users[at]]!r}, item {log.item_ids[cells.items[at]]!r}"
                for at in impossible[:5]
            ],
            way_out="What was observed had a positive probability: correct the propensities.",
        )
    return CellPropensities(p, float(resolved.share_clipped_), tuple(resolved.notes_))


def prepare(
    log: InteractionLog,
    propensity: Propensity | ArrayLike | str | None,
    graph: CausalGraph | None,
    recipe: Recipe,
    features: bool | Sequence[str],
    *,
    weigh_naive: bool = False,
    given: tuple[Any, Any] = (None, None),
) -> Prepared:
    """Return what `train` needs of a log.

    With `weigh_naive` the propensities are resolved for naive too: its validation needs them.
    `given` are the features of users and items that no table of the log has.

    Raises
    ------
    DataError
        If the log has no outcomes, a propensity is zero, or a feature is not a column of the
        user or item table.
    """
    _check_kind(log, recipe, propensity)
    cells = training_cells(log, recipe.estimator)
    unweighted = recipe.estimator in WITHOUT_PROPENSITY
    estimator = "snips" if weigh_naive and unweighted else recipe.estimator
    weighed = propensities(log, propensity, graph, estimator)
    pattern = Pattern(cells.users, cells.items, log.n_users, log.n_items)
    notes = weighed.notes
    if recipe.estimator in _IMPUTING and log.eligible_block(slice(0, 1)) is not None:
        notes = (*notes, "Cells that were not eligible take part with their imputation as target.")
    none = isinstance(features, bool) and not features
    if none and given[0] is None and given[1] is None:
        problem = Problem(pattern, np.asarray(cells.outcome), weighed.values)
        return Prepared(problem, weighed.share_clipped, notes, None)
    if recipe.estimator == "relmf" and recipe.features_as == "regression":
        raise StudyError(
            "features_as='regression' fits the outcomes of the recorded cells, which are all 1 in a"
            " log of positives: use features_as='prior', or leave the features out."
        )
    columns = ((), ()) if none else _columns(log, graph, features)
    user = learn(log.users, columns[0], given[0], "user", log.columns.user_id)
    item = learn(log.items, columns[1], given[1], "item", log.columns.item_id)
    x, z = user.matrix(log.users, given[0]), item.matrix(log.items, given[1])
    problem = Problem(pattern, np.asarray(cells.outcome), weighed.values, x, z)
    said = f"{_said((user, item))}, {_AS[recipe.features_as]}."
    return Prepared(problem, weighed.share_clipped, (*notes, said), (user, item))


def training_cells(log: InteractionLog, estimator: str) -> ObservedCells:
    """Return the cells that have something to learn from: those of relmf are the positives."""
    if estimator != "relmf":
        return log.observed_cells()
    keys = np.unique(log.user_codes.astype(np.int64) * log.n_items + log.item_codes)
    users, items = (codes.astype(np.int32) for codes in np.divmod(keys, log.n_items))
    return ObservedCells(users, items, np.ones(len(keys)), None)


def _check_kind(log: InteractionLog, recipe: Recipe, propensity: Any) -> None:
    """Refuse a log that the estimator cannot learn from, with the ways out."""
    if recipe.estimator != "relmf":
        if log.kind == "positives":
            raise DataError(
                f"A log of positives cannot train a DebiasedMF by {recipe.estimator!r}: every"
                " recorded outcome is a 1, and what is not recorded was either not liked or never"
                " seen. Use estimator='relmf' with the exposure model as propensity="
                " (propensity=1.0 takes every missing cell for a dislike), or a log of candidates,"
                " ratings or impressions."
            )
        return
    if log.kind != "positives":
        raise DataError(
            f"relmf reads what is not recorded as an outcome of 0, which holds in a log of"
            f" positives and not in one of {log.kind}: there use 'ips', 'dr' or 'mrdr', which take"
            " the missing outcomes for missing."
        )
    if propensity is None and log.logging_propensity is None:
        raise DataError(
            "A log of positives does not say what was exposed, so relmf needs a declared exposure"
            " model: pass propensity=, the probability that a cell was exposed (a number, a value a"
            " cell, a column's name, KnownPropensity(values, clip=...))."
        )


_NO_PROPENSITY = {
    "naive": "naive: every observed cell weighs the same; selection is not corrected.",
    "eib": "eib: cells that were not observed count with their imputation; no propensity is used,"
    " so selection is corrected as far as the imputation is right.",
}
_IMPUTING = ("eib", "dr", "mrdr", "stable_dr")
_AS = {
    "regression": "with all user x item crosses",
    "prior": "as a prior on the factors",
}


def _said(sides: tuple[SideFeatures, SideFeatures]) -> str:
    named = [repr(code.column) for side in sides for code in side.encoder.codes]
    arrays = [
        f"an array of {len(side.array.centre):,} {side.side} features"
        for side in sides
        if side.array is not None
    ]
    return f"Features: {', '.join((*named, *arrays))}"


def _columns(
    log: InteractionLog, graph: CausalGraph | None, features: bool | Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    from causalrec.nuisances import choose_covariates

    named = None if isinstance(features, bool) else tuple(features)
    chosen = choose_covariates(log, graph if named is None else None, named)
    if named is not None and chosen.event:
        raise DataError(
            f"{', '.join(map(repr, chosen.event))} describe events, not users or items: a"
            " factorisation predicts cells, so its features must be columns of the users or"
            " items table."
        )
    if not chosen.user and not chosen.item:
        raise DataError(
            "features=True found no usable column in the users and items tables. Pass tables"
            " with columns (InteractionLog(events, users=..., items=...)), or features=False."
        )
    return chosen.user, chosen.item


def state_of(log: InteractionLog, prepared: Prepared, trained: Trained, recipe: Recipe) -> State:
    """Return what a fitted model keeps."""
    problem = prepared.problem
    pattern, p = problem.pattern, problem.propensity
    features = None
    if trained.prior is not None and prepared.sides is not None:
        assert problem.x is not None  # a prior was fitted on them
        assert problem.z is not None
        left, right = trained.prior.user_side(problem.x), trained.prior.item_side(problem.z)
        features = FeatureState(trained.prior, *prepared.sides, left, right)
    counts = np.maximum(np.diff(pattern.user_pointer), 1)
    scales = Scales(
        float(raw_weights(recipe.estimator, p).mean()),
        float(raw_weights(imputation_weighting(recipe), p).mean()),
        _cells(trained, pattern) / pattern.n,
        float(counts.mean()),
        correction_scale(recipe.estimator, p, _cells(trained, pattern)),
    )
    return State(
        log.user_ids,
        log.item_ids,
        trained.factors,
        trained.imputation,
        features,
        pattern.user_pointer,
        pattern.items,
        scales,
        _outcome_range(log, recipe),
        _prior_state(prepared, trained),
        Events(problem.outcome, p),
        EligibleItems.of(log),
    )


def _outcome_range(log: InteractionLog, recipe: Recipe) -> tuple[float, float]:
    """Return what outcomes may be: those of relmf are 0 and 1, of which the log has the ones."""
    if recipe.estimator == "relmf":
        return 0.0, 1.0
    return float(log.outcome_range[0]), float(log.outcome_range[1])


def _cells(trained: Trained, pattern: Pattern) -> int:
    """Return the cells that the whole-grid loss is over: with a prior, those of warm rows."""
    return pattern.n_cells if trained.factor_priors is None else Warm.of(pattern).n_cells


def _prior_state(prepared: Prepared, trained: Trained) -> PriorState | None:
    priors, problem = trained.factor_priors, prepared.problem
    if priors is None or prepared.sides is None:
        return None
    assert problem.x is not None  # the priors were fitted on them
    assert problem.z is not None
    imputation, warm = priors.imputation or (None, None), Warm.of(problem.pattern)
    parts = zip(
        prepared.sides,
        (problem.x, problem.z),
        (priors.user, priors.item),
        imputation,
        (warm.users, warm.items),
        strict=True,
    )
    sides = []
    for features, matrix, prior, of_imputation, has_cells in parts:
        scale = PriorScale.of(matrix)
        rows = scale.apply(matrix)
        sides.append(PriorSide(features, scale, prior, of_imputation, rows, has_cells))
    return PriorState(*sides)


def said_of_factors(trained: Trained, problem: Problem, recipe: Recipe) -> tuple[str, ...]:
    """Say that a ridge has left nothing of the factors, if it has."""
    if not recipe.n_factors:
        return ()
    # The size of U V' over all cells, by the Gram matrices of both sides.
    sides = trained.factors.user_factors, trained.factors.item_factors
    users, items = (side.T.astype(np.float64) @ side for side in sides)
    size = np.sqrt(max(float(np.sum(users * items)), 0.0) / problem.pattern.n_cells)
    if size > NOTHING * (float(problem.outcome.std()) or 1.0):  # positives are all 1
        return ()
    return (
        f"Nothing is left of the {recipe.n_factors} factors at regularization="
        f"{recipe.regularization:g}: predictions are averages, and what features say. A smaller"
        " one may find taste; tune chooses one on held-out cells.",
    )
