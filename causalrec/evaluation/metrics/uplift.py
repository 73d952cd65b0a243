"""Uplift at k: what exposing a candidate adds, over the first k candidates of each user.

Sato, Singh, Takemori, Sonoda, Zhang & Ohkuma (2019), "Uplift-based evaluation and optimization of
recommenders"; Sato et al. (2020), "Unbiased learning for the causal effect of recommendation". The
mean over listed candidates of the two-arm doubly robust score: additive in the scores.
"""

from __future__ import annotations

from causalrec.evaluation.metrics._model import MetricDefinition

DEFINITION = MetricDefinition(
    name="uplift",
    scope="list",
    form="arms",
    per="cell",
    higher_is_better=True,
    paper="Sato et al. (2019, 2020)",
    convention="mean two-arm score of the candidates that a model lists first",
)
