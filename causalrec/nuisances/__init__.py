"""Nuisances: propensities by rows and by cells, outcome models, cross-fitting, diagnostics."""

from causalrec.nuisances._base import Propensity
from causalrec.nuisances._cross_fit import (
    CrossFitted,
    Folds,
    cross_fit,
    folds_by_block,
    folds_by_user,
)
from causalrec.nuisances._features import RowDesign
from causalrec.nuisances._known import KnownPropensity
from causalrec.nuisances._linear import LinearFit, fit_linear
from causalrec.nuisances._model import PropensityModel
from causalrec.nuisances._outcome_cells import CellOutcomeModel, mrdr_weights
from causalrec.nuisances._outcome_rows import ArmOutcomeModel
from causalrec.nuisances._resolve import (
    cell_propensity,
    grid_propensity,
    resolve_propensity,
    row_propensity,
)
from causalrec.nuisances._support import Support, support

__all__ = [
    "ArmOutcomeModel",
    "CellOutcomeModel",
    "CrossFitted",
    "Folds",
    "KnownPropensity",
    "LinearFit",
    "Propensity",
    "PropensityModel",
    "RowDesign",
    "Support",
    "cell_propensity",
    "cross_fit",
    "fit_linear",
    "folds_by_block",
    "folds_by_user",
    "grid_propensity",
    "mrdr_weights",
    "resolve_propensity",
    "row_propensity",
    "support",
]
