"""The options of an evaluation, checked and put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.errors import StudyError
from causalrec.evaluation._engine import NEEDS_WEIGHT
from causalrec.evaluation._law import Gain, GainForm
from causalrec.evaluation._recommenders import Contender
from causalrec.evaluation._setup import Parts, check_estimators
from causalrec.evaluation.metrics import Metric

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

MOST_RATINGS = 20
"""More different outcomes than this are no ratings."""
ESTIMATORS = ("snips", "ips", "dr", "naive", "plain")


def estimators_for(asked: str | Sequence[str] | None, parts: Parts) -> tuple[tuple[str, ...], bool]:
    """Return the estimators, the headline first, and whether the log is a randomised slice."""
    if parts.selected is None:
        names = ("plain",) if asked is None else check_estimators(asked, ESTIMATORS)
        return tuple(dict.fromkeys("plain" if n == "naive" else n for n in names)), True
    names = ("snips",) if asked is None else check_estimators(asked, ESTIMATORS)
    if "plain" not in names:
        weighted = bool(NEEDS_WEIGHT & set(names))
        return (*names, "naive") if weighted and "naive" not in names else names, False
    if names == ("plain",) and parts.randomized is not None:
        return names, True
    raise StudyError(
        "estimator='plain' belongs to randomised logs, and this one was made by selection: its"
        " plain mean is called 'naive'. Mark uniform rows with randomized=..., or choose 'snips'."
    )


@dataclass(frozen=True, eq=False)
class EvaluationQuestion:
    """The options of `evaluate`, checked."""

    log: InteractionLog
    contenders: tuple[Contender, ...]
    metrics: tuple[Metric, ...]
    estimators: tuple[str, ...]
    uniform: bool
    propensity: Any
    outcome_model: Any
    graph: CausalGraph | None
    sampled: tuple[str, ...]
    population: str
    threshold: float | None
    gain_form: GainForm
    train: InteractionLog | None
    clip: float | None
    floor: float
    level: float
    seed: int | None
    item_columns: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models."""
        return tuple(c.name for c in self.contenders)

    @property
    def measures_outcomes(self) -> bool:
        """Whether an outcome enters any metric."""
        return any(m.definition.outcome != "none" for m in self.metrics) or not self.metrics

    @property
    def weighs(self) -> bool:
        """Whether a metric is weighted, or made of the outcome model's scores."""
        return any(m.form in ("sum", "sample") for m in self.metrics) or not self.metrics

    @property
    def gain(self) -> Gain:
        """What a listed outcome is worth."""
        asking = [m.label for m in self.metrics if m.definition.outcome == "relevance"]
        if self.threshold is None and asking:
            return Gain(_relevant_from(self.log, asking[0]))
        return Gain(self.threshold, self.gain_form)

    @property
    def chooses_relevance(self) -> bool:
        """Whether it is we who say which outcomes are relevant."""
        return self.threshold is None and self.gain.threshold not in (None, 1.0)


def _relevant_from(log: InteractionLog, asking: str) -> float:
    """Return the first of a few ratings above the middle of their range; 1 of clicks.

    Raises
    ------
    StudyError
        For outcomes that are no ratings.
    """
    levels = np.unique(log.observed_cells().outcome)
    if len(levels) > MOST_RATINGS:
        raise StudyError(
            f"{asking} asks which outcomes are relevant, and the log has {len(levels):,} different"
            " ones: pass relevance_threshold=..., the outcome from which on one is."
        )
    return float(levels[levels > sum(log.outcome_range) / 2.0][0])


def config_of(question: EvaluationQuestion) -> dict[str, Any]:
    return {
        "models": list(question.models),
        "metrics": [m.label for m in question.metrics],
        "estimators": list(question.estimators),
        "sampled": list(question.sampled),
        "population": question.population,
        "relevance_threshold": question.threshold,
        "gain": question.gain_form,
        "unseen": question.train is not None,
        "item_columns": list(question.item_columns),
        "clip": question.clip,
        "floor": question.floor,
    }
