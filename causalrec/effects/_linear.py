"""Linear functionals of the score of the effect: regressions of it, rankings of it, gains by it.

The score tau of a row has the effect of rows like it as its mean. A statistic T of the scores has
an influence by row, and a weight dT / dtau; with both, the error of the fitted nuisances is stacked
into its influence as it is for the effect itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from causalrec.effects._question import DR_BY_ECONML
from causalrec.errors import StudyError
from causalrec.inference import stack_nuisances
from causalrec.scores import Score, effect_score

if TYPE_CHECKING:
    from causalrec.effects._scores import Computation

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def effect_rows(computation: Computation, purpose: str) -> Floats:
    """Return the score of the effect of each supported row (n,), in the question's direction.

    Raises
    ------
    StudyError
        If the estimator or the estimand has no score whose mean given covariates is the effect.
    """
    question = computation.question
    if question.estimator not in {"dr", "ips", *DR_BY_ECONML} or question.estimand != "ate":
        raise StudyError(
            f"{purpose} needs a score whose mean among like rows is their effect. The estimator"
            f" {question.estimator!r} with the estimand {question.estimand!r} has none: estimate"
            " the effect with estimator='dr' and estimand='ate', and ask that."
        )
    return question.sign * computation._plain(computation.everybody(), 1).numerator[:, 0]


def functional_score(
    computation: Computation, value: Floats, influence: Floats, weight: Floats, inside: Bools
) -> Score:
    """Return the score of statistics of the effect scores, nuisances stacked.

    Parameters
    ----------
    computation : Computation
    value : float64 (q,)
    influence : float64 (n, q)
        n_inside times the influence of each row on the value; sums to zero inside.
    weight : float64 (n, q)
        n_inside times the derivative of the value by the score of each row.
    inside : bool (n,) or (n, q)
        Rows that the statistics are taken over; the others count as zero.

    Returns
    -------
    Score
        Of q columns; the error of nuisances that were fitted outside `inside` is in it.
    """
    keep = inside.reshape(len(inside), -1).astype(np.float64)
    numerator = (influence + value) * keep
    denominator = np.broadcast_to(keep, numerator.shape)
    weight = weight * keep
    sign = computation.question.sign
    plain = computation._plain(computation.everybody(), 1)
    terms = [
        (one.nuisance(computation._target(one.role)), sign * derivative[:, :1] * weight)
        for one, derivative in computation._derivatives(plain, computation.everybody(), 1)
    ]
    stacked = stack_nuisances(Score(numerator, denominator), terms)
    if computation.question.sampled:
        return stacked
    # Over these very rows the covariates are fixed: only the score's noise is random.
    noise = stacked.numerator - numerator + weight * _noise(computation)[:, None]
    return stacked.with_design_residual(noise)


def _noise(computation: Computation) -> Floats:
    found, population = computation.nuisances, computation.population
    score = computation._plain(computation.everybody(), 1).numerator[:, 0]
    if computation.question.estimator == "ips":
        return computation.question.sign * score
    modelled = effect_score(
        population.outcome,
        population.exposure,
        found.propensity,
        found.unexposed,
        found.exposed,
        estimator="regression",
    )
    return computation.question.sign * (score - modelled.numerator[:, 0])


def projection_score(computation: Computation, tau: Floats, design: Floats, inside: Bools) -> Score:
    """Return the score of the least-squares coefficients of the effect scores on a design.

    Parameters
    ----------
    computation : Computation
    tau : float64 (n,)
    design : float64 (n, q)
        Of full rank inside; zero or anything finite outside.
    inside : bool (n,)

    Notes
    -----
    The best linear projection of Semenova & Chernozhukov (2021, section 2): its influence is
    (W'W)^-1 w (tau - w'b), clustered as the effect's is.
    """
    kept = design[inside]
    inverse = np.linalg.inv(kept.T @ kept)
    value = inverse @ (kept.T @ tau[inside])
    weight = int(inside.sum()) * (design @ inverse)
    residual = np.where(inside, tau - design @ value, 0.0)
    return functional_score(computation, value, weight * residual[:, None], weight, inside)
