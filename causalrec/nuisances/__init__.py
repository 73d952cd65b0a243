"""Nuisances: propensities by rows and by cells, outcome models, cross-fitting, diagnostics."""

from causalrec.nuisances._base import Propensity
from causalrec.nuisances._known import KnownPropensity
from causalrec.nuisances._model import PropensityModel
from causalrec.nuisances._resolve import (
    cell_propensity,
    grid_propensity,
    resolve_propensity,
    row_propensity,
)
from causalrec.nuisances._support import Support, support

__all__ = [
    "KnownPropensity",
    "Propensity",
    "PropensityModel",
    "Support",
    "cell_propensity",
    "grid_propensity",
    "resolve_propensity",
    "row_propensity",
    "support",
]
