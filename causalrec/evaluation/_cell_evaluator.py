"""What numbers over cells, recorded or not, need: propensities, and an outcome model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from causalrec.evaluation._evaluation_options import EvaluationQuestion, estimators_for
from causalrec.evaluation._evaluator import Evaluator
from causalrec.evaluation._law import GainForm
from causalrec.evaluation._recommenders import Contender
from causalrec.evaluation._setup import parts_of
from causalrec.evaluation.metrics import Metric

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog


def evaluator_of_cells(
    log: InteractionLog,
    *,
    purpose: str,
    models: tuple[Contender, ...] = (),
    metrics: tuple[Metric, ...] = (),
    gain: GainForm = "linear",
    estimators: Sequence[str],
    propensity: Any = None,
    outcome_model: Any = None,
    graph: CausalGraph | None = None,
    sampled: Sequence[str] = ("user", "item"),
    relevance_threshold: float | None = None,
    train: InteractionLog | None = None,
    clip: float | None = None,
    floor: float = 1e-3,
    level: float = 0.95,
    random_state: int | None = 0,
) -> Evaluator:
    """Resolve propensity and outcome model of the supported cells, recorded or not."""
    log.require("ratings", "candidates", purpose=purpose)
    parts = parts_of(log)
    chosen, uniform = estimators_for(
        list(estimators) if parts.selected is not None else None, parts
    )
    used = parts.randomized if uniform else parts.selected
    assert used is not None
    question = EvaluationQuestion(
        log=used,
        contenders=models,
        metrics=metrics,
        estimators=chosen,
        uniform=uniform,
        propensity=propensity,
        outcome_model=outcome_model,
        graph=graph,
        sampled=tuple(sampled),
        population="supported",
        threshold=relevance_threshold,
        gain_form=gain,
        train=train,
        clip=clip,
        floor=floor,
        level=level,
        seed=random_state,
    )
    return Evaluator.of(question)
