"""From observed cells and a recipe to fitted factors: the one place where estimators differ."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from causalrec.factorization._common import (
    SMALLEST_RIDGE,
    Factors,
    Pattern,
    RidgeForm,
    dot_rows,
    random_start,
    row_ridge,
)
from causalrec.factorization._doubly_robust import doubly_robust_score, fit_doubly_robust
from causalrec.factorization._feature_prior import SidePrior
from causalrec.factorization._features import FeaturePrior, fit_feature_prior
from causalrec.factorization._kernels import SCIPY, Kernels
from causalrec.factorization._prior_sweeps import (
    PriorFit,
    Sides,
    Warm,
    fit_doubly_robust_with_prior,
    fit_weighted_with_prior,
)
from causalrec.factorization._robust import fit_robust
from causalrec.factorization._sgd import fit_doubly_robust_sgd, fit_weighted_sgd
from causalrec.factorization._side_features import PriorScale
from causalrec.factorization._weighted import Fit, fit_weighted, mean_one
from causalrec.factorization._whole_grid import fit_whole_grid, is_whole_grid
from causalrec.threads import one_blas_thread

Estimator = Literal["naive", "ips", "snips", "dr", "mrdr", "robust_ips"]
Imputation = Literal["constant", "biases", "naive", "ips"]
Solver = Literal["als", "sgd"]
Kernel = Literal["auto", "scipy", "numba"]
FeaturesAs = Literal["regression", "prior"]

# Below this many rating visits (cells x sweeps) scipy is done before a cold compilation is.
WORK_WORTH_COMPILING = 1e7


@dataclass(frozen=True)
class Recipe:
    """The options of a fit that are numbers or names; see `DebiasedMF` for what they mean."""

    estimator: Estimator
    n_factors: int
    regularization: float
    regularization_form: RidgeForm
    feature_regularization: float | None
    imputation: Imputation
    solver: Solver
    n_sweeps: int
    tol: float
    learning_rate: float
    dtype: str
    kernel: Kernel
    n_jobs: int
    random_state: int | None
    features_as: FeaturesAs = "regression"
    sensitivity: float = 1.0


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
    """

    factors: Factors
    prior: FeaturePrior | None
    imputation: Factors | None
    fit: Fit
    weights: NDArray[np.float64]
    path: str
    factor_priors: FactorPriors | None = None


def cell_weights(estimator: str, propensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weight of each observed cell in the estimator's weighted stage, mean 1.

    naive: 1. ips, snips, dr: 1 / p. mrdr: (1 - p) / p^2, the variance of the score that a better
    imputation would remove (Farajtabar, Chow & Ghavamzadeh 2018).

    Examples
    --------
    >>> cell_weights("ips", np.array([0.5, 0.25])).round(3).tolist()
    [0.667, 1.333]
    """
    return mean_one(raw_weights(estimator, propensity))


def raw_weights(estimator: str, propensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the same weights before they are given mean 1."""
    if estimator == "naive":
        return np.ones_like(propensity)
    if estimator == "mrdr":
        return np.asarray((1.0 - propensity) / propensity**2)
    return np.asarray(1.0 / propensity)


def train(problem: Problem, recipe: Recipe) -> Trained:
    """Fit a recipe: features first where there are any, then factors on what they leave.

    Matrix products run in one thread: the bytes of a fit must not depend on the machine's cores,
    and these matrices are too small to gain.
    """
    with one_blas_thread():
        rng = np.random.default_rng(recipe.random_state)
        weights = cell_weights(recipe.estimator, problem.propensity) / problem.noise
        prior = _feature_prior(problem, recipe)
        target = problem.outcome
        if prior is not None:
            target = target - prior_on_cells(prior, problem)
        solver = _Solver(problem.pattern, recipe, rng, problem.sides(recipe))
        if recipe.estimator not in {"dr", "mrdr"}:
            fit, weights = _weighted_fit(solver, target, problem.propensity, weights)
            priors = FactorPriors.of(fit)
            return Trained(fit.factors, prior, None, fit, weights, solver.path, priors)
        imputed = _imputation(solver, target, problem.propensity, weights)
        fit = solver.doubly_robust(target, problem.propensity, imputed.factors)
        priors = FactorPriors.of(fit, imputed)
        return Trained(fit.factors, prior, imputed.factors, fit, weights, solver.path, priors)


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
    weighting = "naive" if recipe.estimator == "naive" else "ips"
    weights = cell_weights(weighting, problem.propensity) / problem.noise
    return fit_feature_prior(problem.pattern, problem.outcome, weights, problem.x, problem.z, ridge)


def _weighted_fit(
    solver: _Solver,
    target: NDArray[np.float64],
    propensity: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> tuple[Fit, NDArray[np.float64]]:
    """Return the fit of the weighted loss and its weights: the worst ones for robust_ips."""
    recipe, pattern = solver.recipe, solver.pattern
    if recipe.estimator == "robust_ips":
        return fit_robust(solver.weighted, pattern, target, propensity, recipe.sensitivity)
    return solver.weighted(target, weights), weights


def _imputation(
    solver: _Solver,
    target: NDArray[np.float64],
    propensity: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> Fit:
    recipe = solver.recipe
    if recipe.estimator == "mrdr":
        return solver.weighted(target, weights)
    weights = cell_weights(imputation_weighting(recipe), propensity)
    if recipe.imputation == "constant":
        pattern = solver.pattern
        empty = random_start(pattern.n_users, pattern.n_items, 0, solver.rng, recipe.dtype)
        mean = float(np.average(target, weights=weights))
        return Fit(replace(empty, intercept=mean), [], True)
    rank = 0 if recipe.imputation == "biases" else recipe.n_factors
    return solver.weighted(target, weights, n_factors=rank)


def imputation_weighting(recipe: Recipe) -> str:
    """Return the name of the weights that the imputation of dr and mrdr is fitted with."""
    if recipe.estimator == "mrdr":
        return "mrdr"
    return "naive" if recipe.imputation == "naive" else "ips"


@dataclass
class _Solver:
    """Both stages of one recipe on one pattern."""

    pattern: Pattern
    recipe: Recipe
    rng: np.random.Generator
    sides: Sides | None = None

    def __post_init__(self) -> None:
        self.path, self.kernels = _choose_kernel(self.pattern.n, self.recipe)
        counts = np.diff(self.pattern.user_pointer), np.diff(self.pattern.item_pointer)
        form, ridge = self.recipe.regularization_form, self.recipe.regularization
        self.ridge = row_ridge(ridge, counts[0], form), row_ridge(ridge, counts[1], form)

    def weighted(
        self,
        target: NDArray[np.float64],
        weights: NDArray[np.float64],
        n_factors: int | None = None,
    ) -> Fit:
        """Fit the weighted loss over the observed cells."""
        recipe, dtype = self.recipe, self.recipe.dtype
        y, w = target.astype(dtype), weights.astype(dtype)
        start = self._start(recipe.n_factors if n_factors is None else n_factors)
        if recipe.solver == "sgd":
            return fit_weighted_sgd(
                self.pattern,
                y,
                w,
                start,
                self.ridge,
                self.rng,
                n_sweeps=recipe.n_sweeps,
                tol=recipe.tol,
                learning_rate=recipe.learning_rate,
            )
        if self.sides is not None:
            return fit_weighted_with_prior(
                self.pattern,
                y,
                w,
                start,
                self.ridge,
                self.sides,
                n_sweeps=recipe.n_sweeps,
                tol=recipe.tol,
            )
        solve = fit_whole_grid if is_whole_grid(self.pattern, w) else fit_weighted
        return solve(
            self.pattern,
            y,
            w,
            start,
            self.ridge,
            n_sweeps=recipe.n_sweeps,
            tol=recipe.tol,
            kernels=self.kernels,
        )

    def doubly_robust(
        self,
        target: NDArray[np.float64],
        propensity: NDArray[np.float64],
        imputation: Factors,
    ) -> Fit:
        """Fit the doubly robust score over all cells, given the imputation."""
        recipe, pattern = self.recipe, self.pattern
        left, right = imputation.low_rank()
        predicted = imputation.predict(pattern.users, pattern.items).astype(np.float64)
        score = doubly_robust_score(pattern, target, 1.0 / propensity, left, right, predicted)
        # From the imputation's own factors where they fit: it is where the solution is near.
        same_rank = imputation.n_factors == recipe.n_factors
        start = imputation if same_rank else self._start(recipe.n_factors)
        if recipe.solver == "sgd":
            return fit_doubly_robust_sgd(
                pattern,
                score,
                start,
                self.ridge,
                self.rng,
                n_sweeps=recipe.n_sweeps,
                tol=recipe.tol,
                learning_rate=recipe.learning_rate,
            )
        # Every cell counts once here; the ridge is in units of observed cells of mean weight 1.
        scale = pattern.n_cells / pattern.n
        ridge = self.ridge[0] * scale, self.ridge[1] * scale
        if self.sides is not None:
            scale = Warm.of(pattern).n_cells / pattern.n
            ridge = self.ridge[0] * scale, self.ridge[1] * scale
            return fit_doubly_robust_with_prior(
                pattern,
                score,
                start,
                ridge,
                replace(self.sides, ridge=self.sides.ridge * scale),
                n_sweeps=recipe.n_sweeps,
                tol=recipe.tol,
            )
        return fit_doubly_robust(
            score,
            start,
            ridge,
            n_sweeps=recipe.n_sweeps,
            tol=recipe.tol,
            kernels=self.kernels,
        )

    def _start(self, n_factors: int) -> Factors:
        pattern = self.pattern
        return random_start(
            pattern.n_users, pattern.n_items, n_factors, self.rng, self.recipe.dtype
        )


def _choose_kernel(n_cells: int, recipe: Recipe) -> tuple[str, Kernels]:
    """Return "scipy" or "numba" and its kernels, by the work there is unless it was said."""
    worth = n_cells * recipe.n_sweeps >= WORK_WORTH_COMPILING
    if recipe.solver == "sgd" or recipe.kernel == "numba" or (recipe.kernel == "auto" and worth):
        from causalrec.factorization import _numba_kernels

        return "numba", _numba_kernels.kernels(recipe.n_jobs)
    return "scipy", SCIPY
