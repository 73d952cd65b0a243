"""Metrics and their unbiased estimators, policy value, comparison with a randomised slice."""

from causalrec.evaluation._bounds import bounds
from causalrec.evaluation._compare import compare_with_randomized
from causalrec.evaluation._evaluate import EvaluationResult, evaluate
from causalrec.evaluation._family import family
from causalrec.evaluation._mean import MeanResult, estimate_mean
from causalrec.evaluation._policy import policy_value

__all__ = [
    "EvaluationResult",
    "MeanResult",
    "bounds",
    "compare_with_randomized",
    "estimate_mean",
    "evaluate",
    "family",
    "policy_value",
]
