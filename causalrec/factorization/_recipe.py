"""The options of a fit as numbers and names, and what each estimator weighs its cells by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from causalrec.factorization._common import RidgeForm
from causalrec.factorization._weighted import mean_one

Estimator = Literal[
    "naive", "ips", "snips", "eib", "dr", "mrdr", "stable_dr", "relmf", "robust_ips"
]
Imputation = Literal["constant", "biases", "naive", "ips"]
Solver = Literal["als", "sgd", "svd"]
Kernel = Literal["auto", "scipy", "numba"]
FeaturesAs = Literal["regression", "prior"]

# These move the target of every cell of the grid; the others weigh the observed cells.
WHOLE_GRID = ("eib", "dr", "mrdr", "stable_dr", "relmf")
# These fit their imputation as the option `imputation` says.
IMPUTED = ("eib", "dr", "stable_dr")
# These do not use a propensity in training.
WITHOUT_PROPENSITY = ("naive", "eib")


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
    biases: bool = True
    early_stopping: bool | float = False
    patience: int = 3

    @property
    def whole_grid(self) -> bool:
        """Whether every cell of the grid has a target."""
        return self.estimator in WHOLE_GRID

    @property
    def fixed_imputation(self) -> bool:
        """Whether the imputation is one number, which no user's outcomes move."""
        constant = self.estimator in IMPUTED and self.imputation == "constant"
        return constant or self.estimator == "relmf"


def cell_weights(estimator: str, propensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weight of each observed cell in the estimator's weighted stage, mean 1.

    naive, eib: 1. ips, snips, dr, stable_dr, relmf: 1 / p. mrdr: (1 - p) / p^2, the variance of
    the score that a better imputation would remove (Farajtabar, Chow & Ghavamzadeh 2018).

    Examples
    --------
    >>> cell_weights("ips", np.array([0.5, 0.25])).round(3).tolist()
    [0.667, 1.333]
    """
    return mean_one(raw_weights(estimator, propensity))


def raw_weights(estimator: str, propensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the same weights before they are given mean 1."""
    if estimator in WITHOUT_PROPENSITY:
        return np.ones_like(propensity)
    if estimator == "mrdr":
        return np.asarray((1.0 - propensity) / propensity**2)
    return np.asarray(1.0 / propensity)


def imputation_weighting(recipe: Recipe) -> str:
    """Return the name of the weights that the imputation is fitted with."""
    if recipe.estimator == "mrdr":
        return "mrdr"
    return "naive" if recipe.estimator == "eib" or recipe.imputation == "naive" else "ips"


def correction_weights(
    estimator: str, propensity: NDArray[np.float64], scale: float
) -> NDArray[np.float64]:
    """Return v of the score s = g + O v (y - g) that the estimators over all cells are fitted to.

    dr, mrdr, relmf (with g = 0): 1 / p. eib: 1, so that the score is the outcome where there is
    one. stable_dr: `scale` / p.

    Parameters
    ----------
    estimator : str
    propensity : float64 array, shape (n,)
    scale : float
        What `correction_scale` returned for the cells of the fit.
    """
    if estimator == "eib":
        return np.ones_like(propensity)
    return scale / propensity


def correction_scale(estimator: str, propensity: NDArray[np.float64], n_cells: int) -> float:
    """Return what 1 / p is multiplied by, so that stable_dr's weights sum to the cells.

    Examples
    --------
    >>> correction_scale("stable_dr", np.array([0.5, 0.25]), 12)
    2.0
    """
    return n_cells / float(np.sum(1.0 / propensity)) if estimator == "stable_dr" else 1.0
