"""A quick doubly robust effect, to be computed hundreds of times by the refuters.

Main effects only, a logistic propensity, a linear outcome model for each arm, no cross-fitting:
with few columns against the rows a linear model fits its own noise by no more than k / n.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from causalrec.effects._adjustment import Floats
from causalrec.scores import Score, effect_score
from causalrec.threads import one_thread

if TYPE_CHECKING:
    from causalrec.effects._scores import Computation

RIDGE = 1e-6
"""Of every model, a row: it keeps a level that a draw left empty from breaking the fit."""
ITERATIONS = 30


@dataclass(frozen=True, eq=False)
class Quick:
    """What does not change between draws.

    Attributes
    ----------
    computation : Computation
        Of the effect that is refuted: its estimand, sign and floor.
    outcome, exposure : float64 (n,)
    matrix : float64 (n, k)
        The first column is 1.
    given : float64 (n,) or None
        Propensities that were given; None where they are estimated.
    """

    computation: Computation
    outcome: Floats
    exposure: Floats
    matrix: Floats
    given: Floats | None

    @classmethod
    def of(cls, computation: Computation, matrix: Floats) -> Quick:
        """Take the rows of an effect."""
        population = computation.population
        given = None if population.template is not None else computation.nuisances.propensity
        return cls(computation, population.outcome, population.exposure, matrix, given)

    @one_thread
    def score(
        self,
        *,
        exposure: Floats | None = None,
        outcome: Floats | None = None,
        extra: Floats | None = None,
        rows: NDArray[np.bool_] | None = None,
    ) -> Score:
        """Return the score of the effect with something replaced.

        Parameters
        ----------
        exposure, outcome : float64 (n,), optional
            Another exposure (its propensity is estimated, even if that of the true one was given)
            or outcome.
        extra : float64 (n,), optional
            One more covariate.
        rows : bool (n,), optional
            Only these rows.
        """
        a = self.exposure if exposure is None else exposure
        y = self.outcome if outcome is None else outcome
        x = self.matrix if extra is None else np.column_stack([self.matrix, extra])
        given = self.given if exposure is None else None
        if rows is not None:
            a, y, x = a[rows], y[rows], x[rows]
            given = None if given is None else given[rows]
        p = propensities(x, a) if given is None else given
        floor = self.computation.question.floor
        g0, g1 = (x @ _least_squares(x[a == arm], y[a == arm]) for arm in (0.0, 1.0))
        target = self.computation.question.estimand
        return effect_score(y, a, np.clip(p, floor, 1.0 - floor), g0, g1, target=target)

    def value(self, score: Score) -> float:
        """Return the effect of a score, in the direction that was asked."""
        return self.computation.question.sign * float(score.value[0])


def propensities(matrix: Floats, exposure: Floats) -> Floats:
    """Return the fitted probabilities of a logistic regression, by Newton's method."""
    penalty = RIDGE * len(matrix)
    at = np.zeros(matrix.shape[1])
    p = expit(matrix @ at)
    for _ in range(ITERATIONS):
        gradient = matrix.T @ (exposure - p) - penalty * at
        curvature = matrix.T @ (matrix * (p * (1.0 - p))[:, None])
        step = np.linalg.solve(curvature + penalty * np.eye(len(at)), gradient)
        at = at + step
        p = expit(matrix @ at)
        if np.abs(step).max() < 1e-8:
            break
    return np.asarray(p, dtype=np.float64)


def _least_squares(matrix: Floats, outcome: Floats) -> Floats:
    gram = matrix.T @ matrix + RIDGE * len(matrix) * np.eye(matrix.shape[1])
    return np.asarray(np.linalg.solve(gram, matrix.T @ outcome))
