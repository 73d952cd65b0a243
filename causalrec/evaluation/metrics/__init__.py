"""Metrics as pure functions: each measures cells or one list, and knows whether it adds up."""

from causalrec.evaluation.metrics._model import Metric, MetricDefinition
from causalrec.evaluation.metrics._registry import REGISTRY, parse_metric, parse_metrics
from causalrec.evaluation.metrics.dcg import logarithmic_discount
from causalrec.evaluation.metrics.mae import absolute_error
from causalrec.evaluation.metrics.mse import squared_error
from causalrec.evaluation.metrics.ndcg import normalised_gain
from causalrec.evaluation.metrics.recall import within_list

__all__ = [
    "REGISTRY",
    "Metric",
    "MetricDefinition",
    "absolute_error",
    "logarithmic_discount",
    "normalised_gain",
    "parse_metric",
    "parse_metrics",
    "squared_error",
    "within_list",
]
