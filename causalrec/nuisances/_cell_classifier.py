"""Any scikit-learn classifier as the propensity of cells, on features of users and items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.nuisances._backends import RowLogit
from causalrec.nuisances._case_control import Sample, draw_sample
from causalrec.nuisances._features import join_features
from causalrec.nuisances._fit_cells import CellFit

if TYPE_CHECKING:
    from causalrec.nuisances._fit_cells import CellProblem

Floats = NDArray[np.float64]

MOST_ROWS = 500_000
"""Cells up to which a classifier is given all of them; beyond, a case-control sample."""
CAUTION = (
    "A classifier may overfit or be uncalibrated: look at the calibration and sum(1/p)/cells of"
    " the diagnostics."
)


@dataclass(frozen=True)
class SampledClassifier(RowLogit):
    """P(observed | cell) of a classifier fitted on all cases and a share of the controls.

    Attributes
    ----------
    rate : float
        That share: the odds among the cells drawn are those of the grid over the rate.
    """

    rate: float = 1.0

    def predict(self, matrix: Floats) -> Floats:
        """Return P of rows of the design."""
        p = super().predict(matrix)
        if self.rate == 1.0:
            return p
        return np.asarray(self.rate * p / (1.0 - (1.0 - self.rate) * p))


def fit_classifier(problem: CellProblem) -> CellFit:
    """Fit a clone of the classifier of the options on all cells, or on a sample of them."""
    from sklearn.base import clone

    options = problem.options
    model: Any = clone(options.classifier)
    if options.random_state is not None and "random_state" in model.get_params():
        model.set_params(random_state=options.random_state)
    cells = float(problem.within.users.sum()) * float(problem.within.items.sum())
    # asked for more controls than there are cells, the sample is all of them
    sample = draw_sample(problem, int(cells) if cells <= MOST_ROWS else options.controls)
    x, z = problem.X[:, 1:], problem.Z[:, 1:]
    nothing = np.zeros((len(sample.users), 0))
    design = join_features(x[sample.users], z[sample.items], nothing, crosses=options.crosses)
    model.fit(design[:, 1:], sample.observed.astype(np.int64))
    backend = SampledClassifier(model, problem.encoders, options.crosses, x, z, sample.rate)
    return CellFit(backend, (_note(type(model).__name__, sample), CAUTION))


def _note(name: str, sample: Sample) -> str:
    cases = int(sample.observed.sum())
    others = len(sample.users) - cases
    if sample.rate == 1.0:
        return f"{name}, fitted on all {len(sample.users):,} cells."
    return (
        f"{name}, fitted on all {cases:,} observed cells and {others:,} of the others"
        f" ({sample.rate:.2%} of them); its odds are multiplied by that share (King & Zeng 2001)."
    )
