"""Inference for numbers made of interactions: clusters, intervals, multiplicity, bounds.

Public: bring your own nuisances and get this inference. See `Estimate`.
"""

from causalrec.inference._bootstrap import Bootstrap, pigeonhole_bootstrap, pigeonhole_sums
from causalrec.inference._bounds import (
    Bounds,
    marginal_sensitivity_bounds,
    range_bounds,
    smallest_lambda,
)
from causalrec.inference._cells import CELLS, CellTotals
from causalrec.inference._estimate import Estimate
from causalrec.inference._multiplicity import benjamini_hochberg, holm
from causalrec.inference._stacking import (
    FittedNuisance,
    FittedSoftmax,
    fitted_linear,
    fitted_logistic,
    stack_nuisances,
)

__all__ = [
    "CELLS",
    "Bootstrap",
    "Bounds",
    "CellTotals",
    "Estimate",
    "FittedNuisance",
    "FittedSoftmax",
    "benjamini_hochberg",
    "fitted_linear",
    "fitted_logistic",
    "holm",
    "marginal_sensitivity_bounds",
    "pigeonhole_bootstrap",
    "pigeonhole_sums",
    "range_bounds",
    "smallest_lambda",
    "stack_nuisances",
]
