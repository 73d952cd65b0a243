"""From a rating log to a fitted complementary log-log model of all cells."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from causalrec.nuisances._backends import GridCloglog
from causalrec.nuisances._cloglog import CloglogProblem, fit_cloglog, sides
from causalrec.nuisances._fit_cells import CellFit, require_complete
from causalrec.nuisances._grid import ROUGH, given_ridges, ridges, ridges_of_effects
from causalrec.nuisances._grid_logit import excess_variance

if TYPE_CHECKING:
    from causalrec.nuisances._fit_cells import CellProblem

Floats = NDArray[np.float64]


def fit_cloglog_cells(problem: CellProblem) -> CellFit:
    """Fit p = 1 - exp(-exp(x' B z + a_u + b_i)) over all cells."""
    require_complete(problem, "cloglog")
    options = problem.options
    rough = _problem(problem)
    penalties, start = given_ridges(options), None
    said: tuple[str, ...] = ()
    if penalties is None:
        without = fit_cloglog(rough, tolerance=ROUGH, max_iterations=options.max_iterations)
        start = without.B
        user, item = sides(rough, without.B)
        m, n = len(rough.user_profile), len(rough.item_profile)
        variances = (
            excess_variance(np.bincount(rough.users, minlength=m).astype(np.float64), *user),
            excess_variance(np.bincount(rough.items, minlength=n).astype(np.float64), *item),
        )
        wanted = (options.user_effects, options.item_effects)
        penalties, said = ridges_of_effects(wanted, variances, "log rate")
    found = fit_cloglog(
        replace(rough, user_penalty=penalties[0], item_penalty=penalties[1]),
        tolerance=options.tolerance,
        max_iterations=options.max_iterations,
        start=start,
    )
    effects = problem.placed(found.user_effect, found.item_effect)
    backend = GridCloglog(problem.X @ found.B, problem.Z, *effects)
    return CellFit(backend, said, found.converged, found.iterations)


def _problem(problem: CellProblem) -> CloglogProblem:
    """Return the problem without effects."""
    within = problem.within
    users, items = within.observed(problem.log)
    X, user_profile, one_user = _profiles(problem.X[within.users])
    Z, item_profile, one_item = _profiles(problem.Z[within.items])
    # a never-observed profile is a matter of features: one member stands for its profile
    never = problem.never.block(
        np.flatnonzero(within.users)[one_user], np.flatnonzero(within.items)[one_item]
    )
    return CloglogProblem(
        X=X, Z=Z, user_profile=user_profile, item_profile=item_profile,
        users=(np.cumsum(within.users) - 1)[users], items=(np.cumsum(within.items) - 1)[items],
        penalty=ridges(problem.options, X.shape[1], Z.shape[1]),
        user_penalty=None, item_penalty=None, allowed=None if never is None else ~never,
    )  # fmt: skip


def _profiles(features: Floats) -> tuple[Floats, NDArray[np.intp], NDArray[np.intp]]:
    """Return the distinct rows, the profile of each row, and one row of each profile."""
    found, first, of = np.unique(features, axis=0, return_index=True, return_inverse=True)
    return np.ascontiguousarray(found), of.ravel(), first
