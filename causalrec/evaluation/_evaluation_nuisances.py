"""What an evaluation fits before it measures: weights, and an outcome model where one is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.errors import DataError, StudyError
from causalrec.evaluation._engine import NEEDS_MEAN
from causalrec.evaluation._evaluation_options import EvaluationQuestion
from causalrec.evaluation._imputation import Imputation, imputation_of, refuse_the_evaluated
from causalrec.evaluation._setup import Weighting, identify_mean, slice_rate, weighting

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog


def check_question(question: EvaluationQuestion) -> None:
    """Refuse metrics that the log or the models cannot answer.

    Raises
    ------
    StudyError
        For uplift, lists of several rows a cell, log-loss of outcomes that are not 0 and 1, or an
        error of a model that only lists.
    DataError
        If a log-loss meets a prediction that is no probability.
    """
    log = question.log
    arms = [m.label for m in question.metrics if m.form == "arms"]
    if arms:
        raise StudyError(
            f"{arms[0]} needs outcomes with and without exposure, and a model of each: it has its"
            " own verb, causalrec.evaluation.evaluate_uplift(models, log, k=..., graph=...)."
        )
    ranked = any(m.scope == "list" and m.additive for m in question.metrics)
    if ranked and log.kind == "candidates" and not log.one_row_per_cell:
        raise StudyError(
            "Some (user, item) pairs have several candidate rows, so a list would hold an item"
            " twice. Evaluate 'mse' and 'mae', or keep one row a pair."
        )
    cells = [m.label for m in question.metrics if m.scope == "cell"]
    lists = [c.name for c in question.contenders if c.lists_only]
    if cells and lists:
        raise StudyError(
            f"{cells[0]} compares predictions with outcomes, and {lists[0]!r} is a table of lists:"
            " ask for list metrics (dcg@k, recall@k, coverage@k), or give a table with 'score'."
        )
    if any(m.definition.outcome == "binary" for m in question.metrics):
        _check_probabilities(question)


def _check_probabilities(question: EvaluationQuestion) -> None:
    cells = question.log.observed_cells()
    if not np.isin(cells.outcome, (0.0, 1.0)).all():
        raise StudyError(
            "log-loss is of outcomes 0 and 1, and the log has others: ask for 'mse' or 'mae', or"
            " make a column of the event that the probability is of."
        )
    for contender in question.contenders:
        p = contender.predict(question.log, cells.users, cells.items)
        wrong = (p < 0.0) | (p > 1.0)
        if wrong.any():
            raise DataError(
                f"Model {contender.name!r} predicts {int(wrong.sum()):,} of {len(p):,} recorded"
                f" cells outside [0, 1]; the first: {p[wrong][:5].tolist()}. log-loss takes"
                " probabilities: pass them, or ask for 'mse'."
            )


def weights_of(question: EvaluationQuestion) -> Weighting:
    """Return the propensities of the recorded cells, and which cells they support."""
    estimand = identify_mean(question.graph, False, question.propensity)[0]
    return weighting(question.propensity, question.log, question.graph, estimand, question.floor)


def given(weights: Weighting | None) -> Any:
    """Return the propensity of weights, if there are any."""
    return None if weights is None else weights.propensity


def uniform_propensity(log: InteractionLog) -> Any:
    """Return the one propensity of a randomised log."""
    from causalrec.nuisances import KnownPropensity

    if log.kind == "candidates":
        assert log.exposure is not None
        return KnownPropensity(float(log.exposure.mean()), "exposure")
    rate, own = slice_rate(log, None)
    return KnownPropensity(rate, "observed", sampling_rate=own)


def outcome_model_of(question: EvaluationQuestion, weights: Weighting | None) -> Imputation | None:
    """Return the outcome model where one is needed, never one that is evaluated."""
    lists = any(m.form == "gains" for m in question.metrics)
    needed = question.weighs and bool(NEEDS_MEAN & set(question.estimators))
    if not needed and (question.outcome_model is None or not lists or question.uniform):
        return None
    refuse_the_evaluated(question.outcome_model, question.contenders)
    found = imputation_of(
        question.outcome_model,
        question.log,
        graph=question.graph,
        propensity=given(weights),
        seed=question.seed,
    )
    cells = question.log.observed_cells()
    mean = found.cells(question.log, cells.users, cells.items)
    for contender in question.contenders:
        prediction = contender.predict(question.log, cells.users, cells.items)
        if len(mean) and np.allclose(mean, prediction, rtol=1e-9, atol=1e-9):
            raise StudyError(
                f"The outcome model predicts what {contender.name!r} predicts: it would judge"
                " itself. Pass another one, or None for a cross-fitted feature model."
            )
    return found
