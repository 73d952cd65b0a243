"""Interventional effects: the mediator's law is moved, not each row's own mediator.

With W the covariates before the exposure A, L what comes after it and decides mediator M and
outcome Y, the mean outcome under arm a with the mediator drawn from its law in arm b given W is
(VanderWeele, Vansteelandt & Robins 2014)

    theta(a, b) = E[ int int mu(a, l, m, W) q(l | a, W) p(m | b, W) dl dm ],

mu(a, l, m, w) = E[Y | a, l, m, w]. Its influence (Diaz, Hejazi, Rudolph & van der Laan 2021,
theorem 1) is

    1(A = a) / pi(a | W) p(M | b, W) / p(M | a, L, W) (Y - mu(a, L, M, W))
    + 1(A = a) / pi(a | W) (u(L, W) - E[u(L, W) | a, W])
    + 1(A = b) / pi(b | W) (v(M, W) - E[v(M, W) | b, W]) + E[v(M, W) | b, W],

u(l, w) = int mu(a, l, m, w) p(m | b, w) dm and v(m, w) = E[mu(a, L, m, w) | a, w]. L needs no law
of its own: v is a regression at each node of the mediator, and E[u | a, W] is the mean of v over
the mediator, so that either the outcome's models or those of exposure and mediator may be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.effects._mediator_law import fit_law
from causalrec.effects._nuisances import as_outcome_model
from causalrec.effects._path_columns import Design, Mediator, PathColumns
from causalrec.effects._scores import cluster_codes
from causalrec.inference import Estimate
from causalrec.nuisances import PropensityModel, folds_by_user
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
BOTH, INDIRECT, DIRECT = "interventional total", "interventional indirect", "interventional direct"
TOTAL, REMAINDER = "total effect", "total effect - interventional total"


@dataclass(frozen=True, eq=False)
class InterventionalNuisances:
    """Out-of-fold nuisances of the rows.

    Attributes
    ----------
    exposed : float64 (n,)
        P(A = 1 | W).
    outcome : float64 (2, n)
        mu(a, L, M, W) by a.
    ratio : float64 (2, 2, n)
        p(M | b, W) / p(M | a, L, W) by a, then b.
    moved, moved_mean : float64 (2, 2, n)
        u(L, W), and its mean given a and W, by a, then b.
    mediated : float64 (2, n)
        v(M, W) by a.
    mediated_mean : float64 (2, 2, n)
        E[v(M, W) | b, W] by a, then b.
    whole : float64 (2, n)
        E[mu(a, L, M, W) | a, W] by a, for the total effect.
    """

    exposed: Floats
    outcome: Floats
    ratio: Floats
    moved: Floats
    moved_mean: Floats
    mediated: Floats
    mediated_mean: Floats
    whole: Floats

    @classmethod
    def empty(cls, n: int) -> InterventionalNuisances:
        """Return arrays to fill fold by fold."""
        one, two, four = (n,), (2, n), (2, 2, n)
        return cls(*map(np.empty, (one, two, four, four, four, two, four, two)))


def fit_interventional(
    log: InteractionLog,
    graph: CausalGraph,
    columns: PathColumns,
    outcome_model: Any,
    n_folds: int,
    seed: int,
) -> InterventionalNuisances:
    """Fit all nuisances on folds of users dealt with this seed; predictions are out of fold."""
    found = InterventionalNuisances.empty(log.n_rows)
    mediator = Mediator.of(log, columns.mediator)
    before = Design.of(log, columns.before)
    both = Design.of(log, (*columns.before, *columns.after)) if columns.after else before
    at_nodes = mediator.logs(log)
    template = as_outcome_model(outcome_model, log, 0).clone()
    template.covariates = [*columns.before, *columns.after, columns.mediator]
    folds = folds_by_user(log, n_folds, seed)
    held = np.asarray(folds.of_cells(log.user_codes, log.item_codes))
    method: Any = "logistic" if columns.before else "independence"
    for number, (users, _) in enumerate(folds):
        mine, learn = held == number, users[log.user_codes]
        pi = PropensityModel(method, covariates=list(columns.before) or None)
        found.exposed[mine] = pi.fit(log, graph, users=users).for_rows(log)[mine]
        model = template.clone().fit(log, graph, users=users)
        arms = [learn & (log.exposure == arm) for arm in (0, 1)]
        laws = [fit_law(mediator, before, rows) for rows in arms]
        for a in (0, 1):
            own = np.asarray(model.for_rows(log, arm=a))
            grid = np.column_stack([model.for_rows(rows, arm=a) for rows in at_nodes])
            over = before.regress(grid, arms[a]) if columns.after else grid
            mediated = (mediator.weights(mediator.values) * over).sum(axis=1)
            given = fit_law(mediator, both, arms[a]) if columns.after else laws[a]
            found.outcome[a, mine], found.mediated[a, mine] = own[mine], mediated[mine]
            found.whole[a, mine] = before.regress(own[:, None], arms[a])[mine, 0]
            for b in (0, 1):
                found.ratio[a, b, mine] = (laws[b].density / given.density)[mine]
                found.moved[a, b, mine] = (laws[b].shares * grid).sum(axis=1)[mine]
                found.moved_mean[a, b, mine] = (laws[b].shares * over).sum(axis=1)[mine]
                mean = before.regress(mediated[:, None], arms[b])[:, 0]
                found.mediated_mean[a, b, mine] = mean[mine]
    return found


def interventional_rows(
    outcome: Floats, exposure: Floats, found: InterventionalNuisances, a: int, b: int
) -> Floats:
    """Return the score of theta(a, b) of each row (n,)."""
    pi = np.stack([1.0 - found.exposed, found.exposed])
    inside, moved = (exposure == a) / pi[a], (exposure == b) / pi[b]
    mean = found.mediated_mean[a, b]
    return np.asarray(
        inside * found.ratio[a, b] * (outcome - found.outcome[a])
        + inside * (found.moved[a, b] - found.moved_mean[a, b])
        + moved * (found.mediated[a] - mean)
        + mean
    )


def total_rows(outcome: Floats, exposure: Floats, found: InterventionalNuisances) -> Floats:
    """Return the score of the total effect of each row (n,)."""
    pi = found.exposed
    exposed = exposure / pi * (outcome - found.whole[1]) + found.whole[1]
    unexposed = (1.0 - exposure) / (1.0 - pi) * (outcome - found.whole[0]) + found.whole[0]
    return np.asarray(exposed - unexposed)


def split_interventional(
    log: InteractionLog,
    found: InterventionalNuisances,
    inside: NDArray[np.bool_],
    sampled: tuple[str, ...],
    level: float,
) -> Estimate:
    """Return interventional total, indirect, direct, the total effect and what remains of it."""
    assert log.outcome is not None and log.exposure is not None  # noqa: PT018 - candidates
    y, a = log.outcome, log.exposure.astype(np.float64)
    both, mixed, neither = (
        interventional_rows(y, a, found, *arms)[inside] for arms in ((1, 1), (1, 0), (0, 0))
    )
    whole = total_rows(y, a, found)[inside]
    rows = log if inside.all() else log.select(inside)
    parts = Estimate.from_score(
        Score(np.column_stack([both - mixed, mixed - neither, whole])),
        cluster_codes(rows, sampled),
        (INDIRECT, DIRECT, TOTAL),
        sampled=sampled,
        level=level,
    )
    matrix = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, -1, 1]], dtype=np.float64)
    return parts.contrast(matrix, [BOTH, INDIRECT, DIRECT, TOTAL, REMAINDER])
