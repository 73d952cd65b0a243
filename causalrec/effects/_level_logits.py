"""The propensities of several levels of one exposure, by one multinomial logit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.effects._nuisances import SURELY
from causalrec.errors import OverlapError
from causalrec.inference import FittedSoftmax
from causalrec.nuisances import SoftmaxFit, fit_softmax

if TYPE_CHECKING:
    from causalrec.effects._contrast import Contrast
    from causalrec.nuisances import PropensityModel

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
RARE = 20
"""Levels that are not compared and have fewer rows than this are taken together."""
MOST_COEFFICIENTS = 1_500


@dataclass(frozen=True, eq=False)
class LevelLogits:
    """The design of a multinomial logit of levels on covariates.

    Attributes
    ----------
    matrix : float64 (n, k)
        The first column is 1.
    levels : int64 (n,)
        Those compared come first.
    penalty : float64 (k,)
    names : tuple of str
        Of the levels compared.
    undecided : bool (n,)
        Rows that could be at every level compared, and at another.
    weights : float64 (n,) or None
    """

    matrix: Floats
    levels: NDArray[np.int64]
    penalty: Floats
    names: tuple[str, ...]
    undecided: Bools
    weights: Floats | None

    @classmethod
    def of(
        cls,
        contrast: Contrast,
        models: list[PropensityModel],
        values: Floats,
        weights: Floats | None,
    ) -> LevelLogits | None:
        """Return the design that the models of single levels share.

        None where they are no plain logistic models of it (another classifier, a calibration), or
        where there are very many coefficients. Profiles that are never at one of the levels have
        been kept out of its model, and stay out of this one.

        Parameters
        ----------
        contrast : Contrast
        models : list of PropensityModel
            One a level compared, fitted on all rows.
        values : float64 (n, L)
            What they predict.
        weights : float64 (n,), optional
        """
        undecided = np.all((values > SURELY) & (values < 1.0 - SURELY), axis=1)
        for model, p in zip(models, values.T, strict=True):
            fit, design = model.linear_fit_, model.row_design_
            if fit is None or design is None or len(design.matrix) != len(p):
                return None
            again = fit.predict(design.matrix[undecided])
            if not np.allclose(again, p[undecided], rtol=0.0, atol=1e-9):
                return None
        design, fit = models[0].row_design_, models[0].linear_fit_
        assert design is not None  # just checked
        assert fit is not None
        levels = _merged(contrast.every, len(contrast.levels))
        if design.matrix.shape[1] * (int(levels.max()) + 1) > MOST_COEFFICIENTS:
            return None
        return cls(design.matrix, levels, fit.penalty, contrast.names, undecided, weights)

    def select(self, rows: Bools) -> LevelLogits:
        """Return the design of some rows."""
        return replace(
            self,
            matrix=self.matrix[rows],
            levels=self.levels[rows],
            undecided=self.undecided[rows],
            weights=None if self.weights is None else self.weights[rows],
        )

    def instead_of(self, values: Floats) -> Floats:
        """Return P(level) of all rows, those of single models where a row is decided."""
        fitted = self.fit(self.undecided).predict(self.matrix)[:, : values.shape[1]]
        return np.where(self.undecided[:, None], fitted, values)

    def fit(self, rows: Bools) -> SoftmaxFit:
        """Fit on some rows.

        Raises
        ------
        OverlapError
            If a level is not among them.
        """
        counts = np.bincount(self.levels[rows], minlength=int(self.levels.max()) + 1)
        if not counts.all():
            at = int(np.argmin(counts))
            named = self.names[at] if at < len(self.names) else "a value that is not compared"
            raise OverlapError(
                f"All {int((self.levels == at).sum()):,} rows at {named} are of users that one fold"
                " holds out: its propensity cannot be cross-fitted. Use fewer n_folds, or merge it"
                " with another value."
            )
        weights = None if self.weights is None else self.weights[rows]
        return fit_softmax(
            self.matrix[rows], self.levels[rows], penalty=self.penalty, weights=weights
        )

    def described(self, fit: SoftmaxFit, rows: Bools) -> FittedSoftmax:
        """Describe a fit on some rows to `causalrec.inference.stack_nuisances`."""
        weight = rows.astype(np.float64)
        weight = weight if self.weights is None else weight * self.weights
        probability = fit.predict(self.matrix)
        return FittedSoftmax(self.matrix, self.levels, probability, weight, self.penalty)


@dataclass(frozen=True, eq=False)
class LevelLogit:
    """One level of a fitted multinomial logit, as `Parametric` is of a logistic model."""

    fitted: FittedSoftmax
    level: int
    used: Bools
    role: str = "propensity"

    def nuisance(self, target: Floats, row_weights: Floats | None = None) -> Any:
        """Describe it to `causalrec.inference.stack_nuisances`; its rows know their levels."""
        return self.fitted.of_level(self.level)

    @property
    def slope(self) -> Floats:
        """1 in the rows that it predicts: derivatives by a propensity are by its logit."""
        return self.used.astype(np.float64)


def _merged(levels: NDArray[np.int64], n_compared: int) -> NDArray[np.int64]:
    counts = np.bincount(levels)
    rare = (counts < RARE) & (np.arange(len(counts)) >= n_compared)
    if not rare.any():
        return levels
    renumbered = np.cumsum(~rare) - 1
    renumbered[rare] = renumbered.max() + 1
    return np.asarray(renumbered[levels], dtype=np.int64)
