"""The held-out loss of relmf: the squared error of relevance over all cells, from positives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from causalrec.factorization._recipe import Recipe
from causalrec.factorization._training import Problem, train
from causalrec.inference import Estimate
from causalrec.scores import Score


def relevance_losses(
    problem: Problem, recipes: list[Recipe], fold: NDArray[np.int64], n_folds: int
) -> NDArray[np.float64]:
    """Return each user's mean squared error of relevance, less that of f = 0; (n_users, q).

    Every cell of the grid is thought to lie in one of k folds, of which only those of positives
    need to be drawn. The sum over the cells c of the fold that f was not trained on of

        f_c^2 - 2 O_c R_c f_c / p_c

    has the expectation of (R_c - f_c)^2 - R_c^2 (Saito et al. 2020, equation 11). A cell that is
    not a positive lies in the fold with probability 1 / k, and counts by that much.
    """
    pattern = problem.pattern
    losses = np.zeros((pattern.n_users, len(recipes)))
    for held_out in range(n_folds):
        held = fold == held_out
        part = problem.part(~held, 1.0 - 1.0 / n_folds)
        for at, recipe in enumerate(recipes):
            factors = train(part, recipe).factors
            left, right = (side.astype(np.float64) for side in factors.low_rank())
            squares = np.einsum("uk,kl,ul->u", left, right.T @ right, left)
            f = factors.predict(pattern.users, pattern.items).astype(np.float64)
            of_positives = (held - 1.0 / n_folds) * f**2 - 2.0 * held * f / problem.propensity
            by_user = np.bincount(pattern.users, of_positives, minlength=pattern.n_users)
            losses[:, at] += squares / n_folds + by_user
    return losses / pattern.n_items


def relevance_estimate(losses: NDArray[np.float64], labels: list[str]) -> Estimate:
    """Return each configuration's mean loss over users, clustered by user."""
    return Estimate.from_score(
        Score(losses, np.ones_like(losses)),
        {"user": np.arange(len(losses))},
        labels,
        sampled=("user",),
        population="all cells of the grid",
        estimator="ips",
    )
