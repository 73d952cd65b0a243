"""Metrics and their unbiased estimators, policy value, comparison with a randomised slice."""

from causalrec.evaluation._bounds import bounds
from causalrec.evaluation._compare import compare_with_randomized
from causalrec.evaluation._evaluate import EvaluationResult, evaluate
from causalrec.evaluation._expected_exposure import UserExposure, expected_exposure
from causalrec.evaluation._family import family
from causalrec.evaluation._group_estimates import GroupAnswers, GroupEstimates, group_estimates
from causalrec.evaluation._groups import Group, groups_by
from causalrec.evaluation._mean import MeanResult, estimate_mean
from causalrec.evaluation._merit_estimates import (
    Attention,
    MeritAnswers,
    MeritEstimates,
    merit_estimates,
)
from causalrec.evaluation._plan_randomization import plan_randomization
from causalrec.evaluation._policy import policy_value
from causalrec.evaluation._policy_reconstruct import ReconstructedPolicy, reconstruct_policy
from causalrec.evaluation._recommenders import Contender, contenders
from causalrec.evaluation._uplift import evaluate_uplift

__all__ = [
    "Attention",
    "Contender",
    "EvaluationResult",
    "Group",
    "GroupAnswers",
    "GroupEstimates",
    "MeanResult",
    "MeritAnswers",
    "MeritEstimates",
    "ReconstructedPolicy",
    "UserExposure",
    "bounds",
    "compare_with_randomized",
    "contenders",
    "estimate_mean",
    "evaluate",
    "evaluate_uplift",
    "expected_exposure",
    "family",
    "group_estimates",
    "groups_by",
    "merit_estimates",
    "plan_randomization",
    "policy_value",
    "reconstruct_policy",
]
