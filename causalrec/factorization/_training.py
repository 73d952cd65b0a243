"""From observed cells and a recipe to fitted factors: the one place where estimators differ."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from causalrec.factorization._common import SMALLEST_RIDGE, Factors, Pattern, dot_rows
from causalrec.factorization._early_stopping import HeldOut, Validation, kept_cells
from causalrec.factorization._feature_prior import SidePrior
from causalrec.factorization._features import FeaturePrior, fit_feature_prior
from causalrec.factorization._kernels import WORTH_SCIPY
from causalrec.factorization._prior_sweeps import PriorFit, Sides
from causalrec.factorization._recipe import WITHOUT_PROPENSITY, Recipe, cell_weights
from causalrec.factorization._robust import fit_robust
from causalrec.factorization._side_features import PriorScale
from causalrec.factorization._stages import Stages, Start, path_for
from causalrec.factorization._weighted import Fit
from causalrec.threads import one_blas_thread


@dataclass(frozen=True)
class Problem:
    """Observed cells with their propensities, and the features of both sides.

    Attributes
    ----------
    pattern : Pattern
    outcome, propensity : float64 array, shape (n,)
    x, z : float64 array, shapes (n_users, p), (n_items, q), or None
        Encoded features; None where the model uses none.
    noise : float
        How much noisier the target is than an outcome: weights have mean 1 / noise, so that the
        ridge counts in outcomes.
    """

    pattern: Pattern
    outcome: NDArray[np.float64]
    propensity: NDArray[np.float64]
    x: NDArray[np.float64] | None = None
    z: NDArray[np.float64] | None = None
    noise: float = 1.0

    def sides(self, recipe: Recipe) -> Sides | None:
        """Return the features as a prior on the factors, where they are to be that."""
        if self.x is None or self.z is None or recipe.features_as != "prior":
            return None
        ridge = recipe.feature_regularization
        ridge = recipe.regularization if ridge is None else ridge
        x, z = (PriorScale.of(matrix).apply(matrix) for matrix in (self.x, self.z))
        return Sides(x, z, max(ridge, SMALLEST_RIDGE))

    def part(self, keep: NDArray[np.bool_], rate: float) -> Problem:
        """Return a random part of the cells, each observed in it with probability rate x p."""
        old = self.pattern
        pattern = Pattern(old.users[keep], old.items[keep], old.n_users, old.n_items)
        p = self.propensity[keep] * rate
        return Problem(pattern, self.outcome[keep], p, self.x, self.z, self.noise)


@dataclass(frozen=True)
class FactorPriors:
    """What the features say of the factors, and of the imputation's.

    Attributes
    ----------
    user, item : SidePrior
    imputation : pair of SidePrior (users, items), or None
    """

    user: SidePrior
    item: SidePrior
    imputation: tuple[SidePrior, SidePrior] | None = None

    @classmethod
    def of(cls, fit: Fit, imputation: Fit | None = None) -> FactorPriors | None:
        """Take them from what the solvers returned."""
        if not isinstance(fit, PriorFit):
            return None
        of_imputation = None
        if isinstance(imputation, PriorFit):
            of_imputation = imputation.user_prior, imputation.item_prior
        return cls(fit.user_prior, fit.item_prior, of_imputation)


@dataclass(frozen=True)
class Trained:
    """What `train` returns.

    Attributes
    ----------
    factors : Factors
        What was learned beside the features.
    prior : FeaturePrior or None
    imputation : Factors or None
        g of the doubly robust estimators, on the same scale as `factors`.
    fit : Fit
        Loss history and convergence of the last stage.
    weights : float64 array, shape (n,)
        Weights of the observed cells, mean 1.
    path : str
        "scipy" or "numba".
    factor_priors : FactorPriors or None
        Where the features are a prior on the factors.
    validation : Validation or None
        Where early stopping chose the number of sweeps.
    """

    factors: Factors
    prior: FeaturePrior | None
    imputation: Factors | None
    fit: Fit
    weights: NDArray[np.float64]
    path: str
    factor_priors: FactorPriors | None = None
    validation: Validation | None = None


def train(problem: Problem, recipe: Recipe, begin: Start | None = None) -> Trained:
    """Fit a recipe: features first where there are any, then factors on what they leave.

    With early stopping the number of sweeps is chosen on a random part of the cells first.
    Matrix products run in one thread: the bytes of a fit must not depend on the machine's cores,
    and these matrices are too small to gain.

    Parameters
    ----------
    problem : Problem
    recipe : Recipe
    begin : Start, optional
        Factors to begin from; default a random start.
    """
    with one_blas_thread(scipy=_needs_scipy(problem, recipe)):
        if recipe.early_stopping is False:
            return _train(problem, recipe, begin)
        validation = _validated(problem, recipe, begin)
        trained = _train(problem, recipe, begin, n_sweeps=validation.best)
        return replace(trained, validation=validation)


def _needs_scipy(problem: Problem, recipe: Recipe) -> bool:
    """Say whether anything in the fit calls scipy: its import takes longer than a small fit."""
    path = path_for(problem.pattern.n, recipe)
    return problem.x is not None or path != "scipy" or problem.pattern.n > WORTH_SCIPY


def _validated(problem: Problem, recipe: Recipe, begin: Start | None) -> Validation:
    """Fit a part of the cells and watch the loss of the others."""
    keep = kept_cells(problem.pattern.n, recipe.early_stopping, recipe.random_state)
    rate = float(keep.mean())
    held_out = problem.part(~keep, 1.0 - rate)
    cells = held_out.pattern
    # Its targets are what the regression on features leaves, which the fit knows first.
    weights = 1.0 / held_out.propensity
    watch = HeldOut(cells.users, cells.items, held_out.outcome, weights, recipe.patience)
    _train(problem.part(keep, rate), recipe, begin, held_out=(held_out, watch))
    return Validation(tuple(watch.losses), cells.n)


def _train(
    problem: Problem,
    recipe: Recipe,
    begin: Start | None,
    *,
    n_sweeps: int | None = None,
    held_out: tuple[Problem, HeldOut] | None = None,
) -> Trained:
    rng = np.random.default_rng(recipe.random_state)
    weights = cell_weights(recipe.estimator, problem.propensity) / problem.noise
    prior = _feature_prior(problem, recipe)
    target, p = _left_by(prior, problem), problem.propensity
    watch = None
    if held_out is not None:
        watch = held_out[1]
        watch.target = _left_by(prior, held_out[0])
    sides = problem.sides(recipe)
    stages = Stages(problem.pattern, recipe, rng, sides, begin, watch, n_sweeps)
    if not recipe.whole_grid:
        fit, weights = _weighted_fit(stages, target, p, weights)
        priors = FactorPriors.of(fit)
        return Trained(fit.factors, prior, None, fit, weights, stages.path, priors)
    imputed = stages.imputation(target, p)
    fit = stages.over_all_cells(target, p, imputed.factors)
    priors = FactorPriors.of(fit, imputed)
    return Trained(fit.factors, prior, imputed.factors, fit, weights, stages.path, priors)


def _left_by(prior: FeaturePrior | None, problem: Problem) -> NDArray[np.float64]:
    """Return what the regression on features leaves of the outcomes."""
    if prior is None:
        return problem.outcome
    return np.asarray(problem.outcome - prior_on_cells(prior, problem))


def prior_on_cells(prior: FeaturePrior, problem: Problem) -> NDArray[np.float64]:
    """Return the feature regression's prediction of the observed cells."""
    assert problem.x is not None  # a prior was fitted, so there are features
    assert problem.z is not None
    left, right = prior.user_side(problem.x), prior.item_side(problem.z)
    cells = problem.pattern.users, problem.pattern.items
    return np.asarray(dot_rows(left, right, *cells), dtype=np.float64)


def _feature_prior(problem: Problem, recipe: Recipe) -> FeaturePrior | None:
    if problem.x is None or problem.z is None or recipe.features_as == "prior":
        return None
    ridge = recipe.feature_regularization
    ridge = recipe.regularization if ridge is None else ridge
    # The regression over features answers for all cells, whatever g is weighted by.
    weighting = "naive" if recipe.estimator in WITHOUT_PROPENSITY else "ips"
    weights = cell_weights(weighting, problem.propensity) / problem.noise
    return fit_feature_prior(problem.pattern, problem.outcome, weights, problem.x, problem.z, ridge)


def _weighted_fit(
    stages: Stages,
    target: NDArray[np.float64],
    propensity: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> tuple[Fit, NDArray[np.float64]]:
    """Return the fit of the weighted loss and its weights: the worst ones for robust_ips."""
    if stages.recipe.estimator != "robust_ips":
        return stages.weighted(target, weights), weights
    return fit_robust(
        stages.weighted, stages.pattern, target, propensity, stages.recipe.sensitivity
    )
