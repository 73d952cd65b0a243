"""Nuisances: propensities by rows and by cells, outcome models, cross-fitting, diagnostics."""

from causalrec.nuisances._balance import BalanceLine, balance, balance_table
from causalrec.nuisances._base import Propensity
from causalrec.nuisances._choose import PropensityChoice, choose_propensity
from causalrec.nuisances._cross_fit import (
    CrossFitted,
    Folds,
    cross_fit,
    folds_by_block,
    folds_by_user,
)
from causalrec.nuisances._diagnostics import (
    calibration_table,
    effective_sample_size,
    inverse_propensity_sum,
    overlap_table,
    support_table,
    weight_table,
)
from causalrec.nuisances._econml import propensity_from_econml
from causalrec.nuisances._examination import ExaminationModel
from causalrec.nuisances._features import (
    ColumnCode,
    Covariates,
    Encoder,
    Encoders,
    RowDesign,
    choose_covariates,
    encode,
    row_design,
)
from causalrec.nuisances._graph_check import check_graph
from causalrec.nuisances._known import KnownPropensity
from causalrec.nuisances._linear import LinearFit, fit_linear, rows_at_a_time
from causalrec.nuisances._model import PropensityModel
from causalrec.nuisances._outcome_cells import CellOutcomeModel, mrdr_weights
from causalrec.nuisances._outcome_rows import ArmOutcomeModel
from causalrec.nuisances._report import propensity_assumptions
from causalrec.nuisances._resolve import (
    cell_propensity,
    grid_propensity,
    refuse_outcome_model,
    resolve_propensity,
    row_propensity,
)
from causalrec.nuisances._shadow import WEAK_SHADOW, ShadowPropensity
from causalrec.nuisances._shared import shared_design
from causalrec.nuisances._softmax import SoftmaxFit, fit_softmax
from causalrec.nuisances._support import Support, support

__all__ = [
    "WEAK_SHADOW",
    "ArmOutcomeModel",
    "BalanceLine",
    "CellOutcomeModel",
    "ColumnCode",
    "Covariates",
    "CrossFitted",
    "Encoder",
    "Encoders",
    "ExaminationModel",
    "Folds",
    "KnownPropensity",
    "LinearFit",
    "Propensity",
    "PropensityChoice",
    "PropensityModel",
    "RowDesign",
    "ShadowPropensity",
    "SoftmaxFit",
    "Support",
    "balance",
    "balance_table",
    "calibration_table",
    "cell_propensity",
    "check_graph",
    "choose_covariates",
    "choose_propensity",
    "cross_fit",
    "effective_sample_size",
    "encode",
    "fit_linear",
    "fit_softmax",
    "folds_by_block",
    "folds_by_user",
    "grid_propensity",
    "inverse_propensity_sum",
    "mrdr_weights",
    "overlap_table",
    "propensity_assumptions",
    "propensity_from_econml",
    "refuse_outcome_model",
    "resolve_propensity",
    "row_design",
    "row_propensity",
    "rows_at_a_time",
    "shared_design",
    "support",
    "support_table",
    "weight_table",
]
