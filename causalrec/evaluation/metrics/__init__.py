"""Metrics as pure functions: each measures cells or lists, and knows how it adds up."""

from causalrec.evaluation.metrics._model import Metric, MetricDefinition
from causalrec.evaluation.metrics._registry import REGISTRY, parse_metric, parse_metrics
from causalrec.evaluation.metrics.auc import area_under_curve
from causalrec.evaluation.metrics.average_precision import average_precision
from causalrec.evaluation.metrics.calibration_error import equal_count_bins, signed_miss
from causalrec.evaluation.metrics.coverage import catalogue_coverage
from causalrec.evaluation.metrics.dcg import logarithmic_discount
from causalrec.evaluation.metrics.hit import any_relevant
from causalrec.evaluation.metrics.intra_list_diversity import intra_list_diversity
from causalrec.evaluation.metrics.log_loss import log_loss
from causalrec.evaluation.metrics.macro_recall import share_of_relevant
from causalrec.evaluation.metrics.mae import absolute_error
from causalrec.evaluation.metrics.miscalibration import miscalibration, shares_of_lists
from causalrec.evaluation.metrics.mse import squared_error
from causalrec.evaluation.metrics.ndcg import normalised_gain
from causalrec.evaluation.metrics.novelty import mean_of_listed, self_information
from causalrec.evaluation.metrics.precision import equal_shares
from causalrec.evaluation.metrics.recall import within_list
from causalrec.evaluation.metrics.reciprocal_rank import reciprocal_rank
from causalrec.evaluation.metrics.serendipity import popularity_places, unexpectedness

__all__ = [
    "REGISTRY",
    "Metric",
    "MetricDefinition",
    "absolute_error",
    "any_relevant",
    "area_under_curve",
    "average_precision",
    "catalogue_coverage",
    "equal_count_bins",
    "equal_shares",
    "intra_list_diversity",
    "log_loss",
    "logarithmic_discount",
    "mean_of_listed",
    "miscalibration",
    "normalised_gain",
    "parse_metric",
    "parse_metrics",
    "popularity_places",
    "reciprocal_rank",
    "self_information",
    "share_of_relevant",
    "shares_of_lists",
    "signed_miss",
    "squared_error",
    "unexpectedness",
    "within_list",
]
