"""The front-door score: the effect through a mediator that carries all of it.

With W the covariates, A the exposure and M the mediator, the mean outcome had everybody been in arm
a is E[ sum_a' E[mu(M, a', W) | A = a, W] pi(a' | W) ], mu(m, a', w) = E[Y | m, a', w]. Its
influence (Fulcher, Shpitser, Marealle & Tchetgen Tchetgen 2020, theorem 1) is

    r_a (Y - mu(M, A, W)) + 1(A = a) / pi(a | W) (xi(M, W) - theta_a(W)) + eta_a(A, W),

xi(m, w) = sum_a' mu(m, a', w) pi(a' | w), eta_a(a', w) = E[mu(M, a', w) | A = a, W = w],
theta_a(w) = sum_a' eta_a(a', w) pi(a' | w), and r_a = p(M | a, W) / p(M | A, W), for which Bayes'
rule needs P(A | M, W) and pi alone: the mediator may be of any kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.effects._nuisances import as_outcome_model
from causalrec.nuisances import ArmOutcomeModel, PropensityModel, folds_by_user

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FrontDoorNuisances:
    """Out-of-fold nuisances of the rows.

    Attributes
    ----------
    exposed : float64 (n,)
        P(A = 1 | W).
    exposed_given_mediator : float64 (n,)
        P(A = 1 | M, W).
    outcome : float64 (2, n)
        mu(M, a', W) by a'.
    mediated : float64 (2, 2, n)
        eta_a(a', W) by a, then a'.
    """

    exposed: Floats
    exposed_given_mediator: Floats
    outcome: Floats
    mediated: Floats


def fit_front_door(
    log: InteractionLog,
    graph: CausalGraph,
    covariates: list[str],
    mediator: str,
    outcome_model: Any,
    n_folds: int,
    seed: int,
) -> FrontDoorNuisances:
    """Fit all nuisances on folds of users dealt with this seed; predictions are out of fold."""
    n, both = log.n_rows, [*covariates, mediator]
    folds = folds_by_user(log, n_folds, seed)
    held = np.asarray(folds.of_cells(log.user_codes, log.item_codes))
    found = FrontDoorNuisances(np.empty(n), np.empty(n), np.empty((2, n)), np.empty((2, 2, n)))
    method: Any = "logistic" if covariates else "independence"
    with_mediator = as_outcome_model(outcome_model, log, 0).clone()
    with_mediator.covariates = both
    for number, (users, _) in enumerate(folds):
        mine = held == number
        pi = PropensityModel(method, covariates=covariates or None).fit(log, graph, users=users)
        given = PropensityModel(covariates=both).fit(log, graph, users=users)
        found.exposed[mine] = pi.for_rows(log)[mine]
        found.exposed_given_mediator[mine] = given.for_rows(log)[mine]
        model = with_mediator.clone().fit(log, graph, users=users)
        for arm in (0, 1):
            pseudo = np.asarray(model.for_rows(log, arm=arm))
            found.outcome[arm, mine] = pseudo[mine]
            found.mediated[:, arm, mine] = _mediated(log, graph, covariates, pseudo, users)[:, mine]
    return found


def _mediated(
    log: InteractionLog, graph: CausalGraph, covariates: list[str], pseudo: Floats, users: Any
) -> Floats:
    """Return E[mu(M, a', W) | A = a, W] of every row by a (2, n)."""
    assert log.exposure is not None  # candidates have one
    if not covariates:
        learn = users[log.user_codes]
        means = [float(pseudo[learn & (log.exposure == arm)].mean()) for arm in (0, 1)]
        return np.repeat(np.array(means)[:, None], log.n_rows, axis=1)
    rows = log._derive(outcome=pseudo)
    model = ArmOutcomeModel(covariates=covariates).fit(rows, graph, users=users)
    return np.stack([np.asarray(model.for_rows(rows, arm=arm)) for arm in (0, 1)])


def front_door_rows(outcome: Floats, exposure: Floats, found: FrontDoorNuisances) -> Floats:
    """Return the score of the effect of each row (n,): arm 1 minus arm 0."""
    pi = np.stack([1.0 - found.exposed, found.exposed])
    given = np.stack([1.0 - found.exposed_given_mediator, found.exposed_given_mediator])
    own = exposure.astype(np.int64)
    at = np.arange(len(own))
    residual = outcome - found.outcome[own, at]
    xi = (found.outcome * pi).sum(axis=0)
    means = []
    for arm in (0, 1):
        density = (given[arm] / pi[arm]) / (given[own, at] / pi[own, at])
        theta = (found.mediated[arm] * pi).sum(axis=0)
        inside = (own == arm) / pi[arm]
        means.append(density * residual + inside * (xi - theta) + found.mediated[arm][own, at])
    return np.asarray(means[1] - means[0])
