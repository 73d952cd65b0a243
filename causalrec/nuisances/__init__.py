"""Nuisances: propensities by rows and by cells, outcome models, cross-fitting, diagnostics.

Names load their module when first used: a fit with known propensities waits for no estimator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from causalrec.lazy import on_first_use

if TYPE_CHECKING:
    from causalrec.nuisances._balance import BalanceLine, balance, balance_table
    from causalrec.nuisances._base import Propensity
    from causalrec.nuisances._by_rating import RatingSlice
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
    from causalrec.nuisances._parameters import Parameters
    from causalrec.nuisances._report import propensity_assumptions, warn_of_inverse_sum
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

_HOME = {
    "BalanceLine": "_balance",
    "balance": "_balance",
    "balance_table": "_balance",
    "Propensity": "_base",
    "RatingSlice": "_by_rating",
    "PropensityChoice": "_choose",
    "choose_propensity": "_choose",
    "CrossFitted": "_cross_fit",
    "Folds": "_cross_fit",
    "cross_fit": "_cross_fit",
    "folds_by_block": "_cross_fit",
    "folds_by_user": "_cross_fit",
    "calibration_table": "_diagnostics",
    "effective_sample_size": "_diagnostics",
    "inverse_propensity_sum": "_diagnostics",
    "overlap_table": "_diagnostics",
    "support_table": "_diagnostics",
    "weight_table": "_diagnostics",
    "propensity_from_econml": "_econml",
    "ExaminationModel": "_examination",
    "ColumnCode": "_features",
    "Covariates": "_features",
    "Encoder": "_features",
    "Encoders": "_features",
    "RowDesign": "_features",
    "choose_covariates": "_features",
    "encode": "_features",
    "row_design": "_features",
    "check_graph": "_graph_check",
    "KnownPropensity": "_known",
    "LinearFit": "_linear",
    "fit_linear": "_linear",
    "rows_at_a_time": "_linear",
    "PropensityModel": "_model",
    "CellOutcomeModel": "_outcome_cells",
    "mrdr_weights": "_outcome_cells",
    "ArmOutcomeModel": "_outcome_rows",
    "Parameters": "_parameters",
    "propensity_assumptions": "_report",
    "warn_of_inverse_sum": "_report",
    "cell_propensity": "_resolve",
    "grid_propensity": "_resolve",
    "refuse_outcome_model": "_resolve",
    "resolve_propensity": "_resolve",
    "row_propensity": "_resolve",
    "ShadowPropensity": "_shadow",
    "WEAK_SHADOW": "_shadow",
    "shared_design": "_shared",
    "SoftmaxFit": "_softmax",
    "fit_softmax": "_softmax",
    "Support": "_support",
    "support": "_support",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = on_first_use(__name__, _HOME)

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
    "Parameters",
    "Propensity",
    "PropensityChoice",
    "PropensityModel",
    "RatingSlice",
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
    "warn_of_inverse_sum",
    "weight_table",
]
