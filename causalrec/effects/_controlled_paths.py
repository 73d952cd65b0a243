"""The controlled direct effect: exposure against none, the mediator set to one level for all.

With W the covariates before the exposure A, and L what comes after it and decides mediator M and
outcome Y, the mean outcome under arm a with M set to m is E[E[mu(a, L, W) | a, W]], mu(a, l, w) =
E[Y | a, m, l, w] (Robins 1986). Its influence (Bang & Robins 2005, section 3, for two decisions) is

    1(A = a, M = m) / (pi(a | W) p(m | a, L, W)) (Y - mu(a, L, W))
    + 1(A = a) / pi(a | W) (mu(a, L, W) - E[mu(a, L, W) | a, W]) + E[mu(a, L, W) | a, W].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.effects._nuisances import as_outcome_model
from causalrec.effects._path_columns import Design, Mediator, PathColumns
from causalrec.effects._scores import cluster_codes
from causalrec.errors import OverlapError, StudyError, near_miss
from causalrec.inference import Estimate
from causalrec.nuisances import PropensityModel, fit_linear, folds_by_user
from causalrec.scores import Score, effect_score

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
CONTROLLED, NAIVE = "controlled direct", "naive"
GAP = f"{NAIVE} - {CONTROLLED}"


@dataclass(frozen=True, eq=False)
class ControlledNuisances:
    """Out-of-fold nuisances of the rows.

    Attributes
    ----------
    at_level : bool (n,)
        Rows whose mediator is at the level.
    exposed : float64 (n,)
        P(A = 1 | W).
    reached : float64 (2, n)
        P(M = m | a, L, W) by a.
    outcome : float64 (2, n)
        mu(a, L, W) by a.
    outcome_mean : float64 (2, n)
        E[mu(a, L, W) | a, W] by a.
    """

    at_level: Bools
    exposed: Floats
    reached: Floats
    outcome: Floats
    outcome_mean: Floats


def find_level(mediator: Mediator, asked: Any) -> tuple[Any, Bools]:
    """Return the level asked for as the log has it, and the rows that are at it.

    Raises
    ------
    StudyError
        If no level was named, the mediator is continuous, or it has no such level.
    """
    if mediator.levels is None:
        raise StudyError(
            f"The mediator {mediator.column!r} is continuous: hardly a row is at any one value, and"
            " an effect with it set there would be extrapolated. Cut the column into levels that"
            " could be set (pandas.cut), or ask for effect='interventional'."
        )
    known = [str(level) for level in mediator.nodes]
    if asked is None:
        raise StudyError(
            f"Which level of {mediator.column!r} should the mediator be set to? Name one of"
            f" {', '.join(map(repr, mediator.nodes))} as mediator_level."
        )
    for place, level in enumerate(mediator.nodes):
        if level == asked or known[place] == str(asked):
            return level, mediator.levels == place
    raise StudyError(
        f"The mediator {mediator.column!r} is never {asked!r}.{near_miss(str(asked), known)}"
        f" Its levels are {', '.join(map(repr, mediator.nodes))}."
    )


def fit_controlled(
    log: InteractionLog,
    graph: CausalGraph,
    columns: PathColumns,
    at_level: Bools,
    outcome_model: Any,
    n_folds: int,
    seed: int,
) -> ControlledNuisances:
    """Fit all nuisances on folds of users dealt with this seed; predictions are out of fold.

    Raises
    ------
    OverlapError
        If no training row of one of the arms is at the level.
    """
    n, given = log.n_rows, [*columns.before, *columns.after]
    found = ControlledNuisances(
        at_level, np.empty(n), np.empty((2, n)), np.empty((2, n)), np.empty((2, n))
    )
    before = Design.of(log, columns.before)
    both = Design.of(log, tuple(given)) if columns.after else before
    template = as_outcome_model(outcome_model, log, 0).clone()
    template.covariates = given
    folds = folds_by_user(log, n_folds, seed)
    held = np.asarray(folds.of_cells(log.user_codes, log.item_codes))
    method: Any = "logistic" if columns.before else "independence"
    for number, (users, _) in enumerate(folds):
        mine, learn = held == number, users[log.user_codes]
        pi = PropensityModel(method, covariates=list(columns.before) or None)
        found.exposed[mine] = pi.fit(log, graph, users=users).for_rows(log)[mine]
        arms = [learn & (log.exposure == arm) for arm in (0, 1)]
        _refuse_empty(arms, at_level, columns.mediator)
        weights = at_level.astype(np.float64)
        model = template.clone().fit(log, graph, weights=weights, users=users)
        for a, rows in enumerate(arms):
            reached = fit_linear(
                both.matrix[rows], weights[rows], penalty=both.penalty, binary=True
            )
            found.reached[a, mine] = reached.predict(both.matrix[mine])
            mean = np.asarray(model.for_rows(log, arm=a))
            found.outcome[a, mine] = mean[mine]
            over = before.regress(mean[:, None], rows)[:, 0] if columns.after else mean
            found.outcome_mean[a, mine] = over[mine]
    return found


def _refuse_empty(arms: list[Any], at_level: Bools, mediator: str) -> None:
    for arm, rows in enumerate(arms):
        if not (rows & at_level).any():
            raise OverlapError(
                f"Among the {'exposed' if arm else 'unexposed'} rows of a training fold the"
                f" mediator {mediator!r} is never at the level asked for: what the outcome would be"
                " there cannot be told. Ask for a level that occurs in both arms."
            )


def controlled_rows(
    outcome: Floats, exposure: Floats, found: ControlledNuisances, arm: int
) -> Floats:
    """Return the score of the mean outcome of each row (n,) in an arm, the mediator set."""
    pi = np.stack([1.0 - found.exposed, found.exposed])
    inside = (exposure == arm) / pi[arm]
    mean, over = found.outcome[arm], found.outcome_mean[arm]
    at = np.where(found.at_level, inside / found.reached[arm], 0.0)
    return np.asarray(at * (outcome - mean) + inside * (mean - over) + over)


def estimate_controlled(
    log: InteractionLog,
    found: ControlledNuisances,
    inside: Bools,
    sampled: tuple[str, ...],
    level: float,
) -> Estimate:
    """Return the controlled direct effect, the naive difference at the level, and their gap."""
    assert log.outcome is not None and log.exposure is not None  # noqa: PT018 - candidates
    y, a = log.outcome, log.exposure.astype(np.float64)
    ours = controlled_rows(y, a, found, 1) - controlled_rows(y, a, found, 0)
    place = np.where(found.at_level, 0, -1)[inside]
    naive = effect_score(y[inside], a[inside], 0.5, estimator="snips", groups=place, n_groups=1)
    rows = log if inside.all() else log.select(inside)
    joint = Estimate.from_score(
        Score(
            np.column_stack([ours[inside], naive.numerator[:, 0]]),
            np.column_stack([np.ones(int(inside.sum())), naive.denominator[:, 0]]),
        ),
        cluster_codes(rows, sampled),
        (CONTROLLED, NAIVE),
        sampled=sampled,
        level=level,
    )
    matrix = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0]])
    return joint.contrast(matrix, [CONTROLLED, NAIVE, GAP])
