"""From the name of a learner to the computation that the effect is written from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from causalrec.effects._econml._causal_forest import fit_causal_forest
from causalrec.effects._econml._doubly_robust import fit_doubly_robust
from causalrec.effects._econml._linear_dml import LINEAR_DML, ResidualComputation, fit_linear_dml
from causalrec.effects._scores import Computation

if TYPE_CHECKING:
    from causalrec.effects._population import Population
    from causalrec.effects._question import Question


def compute_econml(
    population: Population, question: Question, outcome_model: Any, seed: int
) -> Computation:
    """Fit the learner the question names on folds dealt with this seed.

    "econml" is `LinearDRLearner`, "dr-learner" `DRLearner`, "causal-forest-dml" `CausalForestDML`:
    the doubly robust score of their nuisances. "linear-dml" is `LinearDML`: residual on residual.
    """
    if question.estimator == LINEAR_DML:
        fitted, residuals = fit_linear_dml(population, question, outcome_model, seed)
        return ResidualComputation(population, question, fitted, residuals)
    fit = fit_causal_forest if question.estimator == "causal-forest-dml" else fit_doubly_robust
    return Computation(population, question, fit(population, question, outcome_model, seed))
