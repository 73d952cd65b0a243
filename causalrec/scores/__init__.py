"""The score: arithmetic on arrays that turns outcomes, propensities and imputations into rows.

For a function h of the outcome, an indicator O of being observed, its propensity p and an
imputation m = E[h(Y) | X, O = 1],

    dr_score(h) = m + (O / p) (h - m)                          Robins, Rotnitzky & Zhao (1994)

Every estimator is a ratio of two sums over rows, a `Score`; `causalrec.inference.Estimate` turns
it into a number with an interval. Rows that are not observed may hold anything in `h` (NaN
included): it is never read.

| estimator  | numerator         | denominator |
|------------|-------------------|-------------|
| naive      | O h               | O           |
| ips        | O h / p           | 1           |
| snips      | O h / p           | O / p       |
| regression | m                 | 1           |
| dr         | m + (O/p) (h - m) | 1           |
"""

from causalrec.scores._effects import EffectEstimator, Target, effect_derivatives, effect_score
from causalrec.scores._losses import (
    absolute_error_imputation,
    loss_imputation_from_residuals,
    squared_error_imputation,
)
from causalrec.scores._means import (
    MeanEstimator,
    design_residual,
    dr_derivatives,
    dr_score,
    ips_score,
    mean_score,
    naive_score,
    regression_score,
    snips_score,
)
from causalrec.scores._score import Score, group_scores

__all__ = [
    "EffectEstimator",
    "MeanEstimator",
    "Score",
    "Target",
    "absolute_error_imputation",
    "design_residual",
    "dr_derivatives",
    "dr_score",
    "effect_derivatives",
    "effect_score",
    "group_scores",
    "ips_score",
    "loss_imputation_from_residuals",
    "mean_score",
    "naive_score",
    "regression_score",
    "snips_score",
    "squared_error_imputation",
]
