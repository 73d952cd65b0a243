"""Both stages of a recipe on one set of observed cells: the imputation, and the model itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from causalrec.factorization._common import Factors, Pattern, Watch, random_start, row_ridge
from causalrec.factorization._doubly_robust import Score, doubly_robust_score, fit_doubly_robust
from causalrec.factorization._kernels import SCIPY, Kernels
from causalrec.factorization._prior_sweeps import (
    Sides,
    Warm,
    fit_doubly_robust_with_prior,
    fit_weighted_with_prior,
)
from causalrec.factorization._recipe import (
    Recipe,
    cell_weights,
    correction_scale,
    correction_weights,
    imputation_weighting,
)
from causalrec.factorization._sgd import fit_doubly_robust_sgd, fit_weighted_sgd
from causalrec.factorization._svd import fit_by_svd
from causalrec.factorization._weighted import Fit, fit_weighted
from causalrec.factorization._whole_grid import fit_whole_grid, is_whole_grid

# Below this many rating visits (cells x sweeps) scipy is done before a cold compilation is.
WORK_WORTH_COMPILING = 1e7

_Array = NDArray[np.float64]


@dataclass(frozen=True)
class Start:
    """Where a fit begins: factors of a fit that was near, and of its imputation."""

    factors: Factors
    imputation: Factors | None = None


@dataclass
class Stages:
    """The stages of one recipe on one pattern.

    Attributes
    ----------
    pattern : Pattern
    recipe : Recipe
    rng : numpy.random.Generator
    sides : Sides or None
        Features as a prior on the factors.
    begin : Start or None
        None draws a random start.
    watch : callable(factors) or None
        Sees the model, not its imputation, after each sweep.
    n_sweeps : int or None
        Of the model, to the last one; None leaves the recipe's, with its tolerance.
    """

    pattern: Pattern
    recipe: Recipe
    rng: np.random.Generator
    sides: Sides | None = None
    begin: Start | None = None
    watch: Watch | None = None
    n_sweeps: int | None = None

    def __post_init__(self) -> None:
        self.path, self.kernels = _choose_kernel(self.pattern.n, self.recipe)
        counts = np.diff(self.pattern.user_pointer), np.diff(self.pattern.item_pointer)
        form, ridge = self.recipe.regularization_form, self.recipe.regularization
        self.ridge = row_ridge(ridge, counts[0], form), row_ridge(ridge, counts[1], form)
        self.last = self.recipe.n_sweeps, self.recipe.tol
        if self.n_sweeps is not None:
            self.last = self.n_sweeps, 0.0

    def weighted(self, target: _Array, weights: _Array) -> Fit:
        """Fit the model to the weighted loss over the observed cells."""
        start = self._random(self.recipe.n_factors) if self.begin is None else self.begin.factors
        if not self.recipe.biases:
            start = start.without_biases()
        return self._weighted(target, weights, start, self.last, self.watch)

    def imputation(self, target: _Array, propensity: _Array) -> Fit:
        """Fit g, which has biases whether or not the model has."""
        recipe = self.recipe
        weighting = imputation_weighting(recipe)
        weights = cell_weights(weighting, propensity)
        if recipe.fixed_imputation:
            mean = 0.0 if recipe.estimator == "relmf" else np.average(target, weights=weights)
            return Fit(replace(self._random(0), intercept=float(mean)), [], True)
        biases_alone = weighting != "mrdr" and recipe.imputation == "biases"
        rank = 0 if biases_alone else recipe.n_factors
        known = None if self.begin is None else self.begin.imputation
        start = self._random(rank) if known is None or known.n_factors != rank else known
        return self._weighted(target, weights, start, (recipe.n_sweeps, recipe.tol), None)

    def _weighted(
        self,
        target: _Array,
        weights: _Array,
        start: Factors,
        stop: tuple[int, float],
        watch: Watch | None,
    ) -> Fit:
        recipe, dtype = self.recipe, self.recipe.dtype
        cells = self.pattern, target.astype(dtype), weights.astype(dtype), start, self.ridge
        n_sweeps, tol = stop
        if recipe.solver == "sgd":
            return fit_weighted_sgd(
                *cells,
                self.rng,
                n_sweeps=n_sweeps,
                tol=tol,
                learning_rate=recipe.learning_rate,
                watch=watch,
            )
        if self.sides is not None:
            return fit_weighted_with_prior(*cells, self.sides, n_sweeps=n_sweeps, tol=tol)
        solve = fit_whole_grid if is_whole_grid(self.pattern, weights) else fit_weighted
        return solve(*cells, n_sweeps=n_sweeps, tol=tol, kernels=self.kernels, watch=watch)

    def over_all_cells(self, target: _Array, propensity: _Array, imputation: Factors) -> Fit:
        """Fit the model to the score of every cell, given the imputation."""
        recipe, pattern = self.recipe, self.pattern
        n_cells = pattern.n_cells if self.sides is None else Warm.of(pattern).n_cells
        scale = correction_scale(recipe.estimator, propensity, n_cells)
        weights = correction_weights(recipe.estimator, propensity, scale)
        score = _score(pattern, target, weights, imputation)
        start, (n_sweeps, tol) = self._start_over_all_cells(imputation), self.last
        if recipe.solver == "sgd":
            return fit_doubly_robust_sgd(
                pattern,
                score,
                start,
                self.ridge,
                self.rng,
                n_sweeps=n_sweeps,
                tol=tol,
                learning_rate=recipe.learning_rate,
                watch=self.watch,
            )
        # Every cell counts once here; the ridge is in units of observed cells of mean weight 1.
        unit = n_cells / pattern.n
        ridge = self.ridge[0] * unit, self.ridge[1] * unit
        if self.sides is not None:
            sides = replace(self.sides, ridge=self.sides.ridge * unit)
            return fit_doubly_robust_with_prior(
                pattern, score, start, ridge, sides, n_sweeps=n_sweeps, tol=tol
            )
        if recipe.solver == "svd":
            return fit_by_svd(
                pattern,
                score,
                recipe.n_factors,
                float(ridge[0][0]),
                self.rng,
                n_sweeps=n_sweeps,
                tol=tol,
                kernels=self.kernels,
            )
        return fit_doubly_robust(
            score,
            start,
            ridge,
            n_sweeps=n_sweeps,
            tol=tol,
            kernels=self.kernels,
            watch=self.watch,
        )

    def _start_over_all_cells(self, imputation: Factors) -> Factors:
        # From the imputation's own factors where they fit: it is where the solution is near.
        if self.begin is not None:
            start = self.begin.factors
        elif imputation.n_factors == self.recipe.n_factors:
            start = imputation
        else:
            start = self._random(self.recipe.n_factors)
        return start if self.recipe.biases else start.without_biases()

    def _random(self, n_factors: int) -> Factors:
        pattern = self.pattern
        return random_start(
            pattern.n_users, pattern.n_items, n_factors, self.rng, self.recipe.dtype
        )


def _score(pattern: Pattern, target: _Array, weights: _Array, imputation: Factors) -> Score:
    left, right = imputation.low_rank()
    predicted = imputation.predict(pattern.users, pattern.items).astype(np.float64)
    return doubly_robust_score(pattern, target, weights, left, right, predicted)


def path_for(n_cells: int, recipe: Recipe) -> str:
    """Return "scipy" or "numba", by the work there is unless it was said."""
    worth = n_cells * recipe.n_sweeps >= WORK_WORTH_COMPILING
    compiled = recipe.solver == "sgd" or recipe.kernel == "numba"
    return "numba" if compiled or (recipe.kernel == "auto" and worth) else "scipy"


def _choose_kernel(n_cells: int, recipe: Recipe) -> tuple[str, Kernels]:
    """Return the path and its kernels."""
    if path_for(n_cells, recipe) == "numba":
        from causalrec.factorization import _numba_kernels

        return "numba", _numba_kernels.kernels(recipe.n_jobs)
    return "scipy", SCIPY
