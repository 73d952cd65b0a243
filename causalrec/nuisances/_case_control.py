"""Case-control sampling of the grid: every observed cell and a few of the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError
from causalrec.nuisances._backends import GridLogit
from causalrec.nuisances._fit_cells import CellFit
from causalrec.nuisances._grid import ROUGH, given_ridges, ridges, ridges_of_effects
from causalrec.nuisances._grid_logit import excess_variance
from causalrec.nuisances._sampled_logit import SampledProblem, fit_sampled, sampled_logits

if TYPE_CHECKING:
    from causalrec.nuisances._fit_cells import CellProblem

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Keys = NDArray[np.int64]

USERS_AT_ONCE = 1_024
MOST_ROUNDS = 60


@dataclass(frozen=True)
class Sample:
    """All cases and a sample of controls, sorted by (user, item).

    Attributes
    ----------
    users, items : int (k,)
        Codes of the log.
    observed : bool (k,)
    rate : float
        The share of the eligible unobserved cells that was drawn.
    """

    users: NDArray[np.intp]
    items: NDArray[np.intp]
    observed: Bools
    rate: float


def draw_sample(problem: CellProblem, controls: int) -> Sample:
    """Take every observed cell, and draw `controls` times as many of the others.

    Where there are hardly more of them, all are taken and the rate is 1.
    """
    within, n_items = problem.within, problem.log.n_items
    users, items = within.observed(problem.log)
    if not len(users):
        raise DataError("No cell was observed among the users and items to fit on.")
    cases = np.sort(users.astype(np.int64) * n_items + items)
    mine, theirs = np.flatnonzero(within.users), np.flatnonzero(within.items)
    size, wanted = float(len(mine)) * len(theirs), controls * len(cases)
    if size <= 2.0 * (wanted + len(cases)):
        every = (mine.astype(np.int64)[:, None] * n_items + theirs).ravel()
        drawn = _allowed(problem, np.setdiff1d(every, cases, assume_unique=True))
        rate = 1.0
    else:
        rng = np.random.default_rng(problem.options.random_state)
        drawn, rate = _draw(problem, cases, wanted, (mine, theirs), rng)
    keys = np.concatenate([cases, drawn])
    order = np.argsort(keys, kind="stable")
    user, item = np.divmod(keys[order], n_items)
    return Sample(user.astype(np.intp), item.astype(np.intp), order < len(cases), rate)


def _draw(
    problem: CellProblem,
    cases: Keys,
    wanted: int,
    sides: tuple[NDArray[np.intp], NDArray[np.intp]],
    rng: np.random.Generator,
) -> tuple[Keys, float]:
    """Return distinct eligible cells that were not observed, and the share of these drawn."""
    n_items, found = problem.log.n_items, np.empty(0, dtype=np.int64)
    tried, passed = 0, 0
    for _ in range(MOST_ROUNDS):
        missing = wanted - len(found)
        if missing <= 0:
            break
        size = missing + missing // 4 + 64
        user, item = rng.choice(sides[0], size), rng.choice(sides[1], size)
        keys = user.astype(np.int64) * n_items + item
        keys = _allowed(problem, keys[~_among(keys, cases)])
        tried, passed = tried + size, passed + len(keys)
        found = np.unique(np.concatenate([found, keys]))
    if not len(found):
        raise DataError("No eligible cell is left unobserved: there is nothing to compare with.")
    kept = rng.permutation(found)[:wanted] if len(found) > wanted else found
    cells = float(len(sides[0])) * len(sides[1])
    complete = problem.log.eligible_block(slice(0, 1)) is None and not problem.never.profiles
    others = cells - len(cases) if complete else cells * passed / tried
    return np.sort(kept), min(len(kept) / others, 1.0)


def _among(keys: Keys, sorted_keys: Keys) -> Bools:
    at = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return np.asarray(sorted_keys[at] == keys)


def _allowed(problem: CellProblem, keys: Keys) -> Keys:
    """Return the keys of cells that are eligible and in no never-observed profile."""
    log = problem.log
    user, item = np.divmod(keys, log.n_items)
    if problem.never.profiles:
        keys = keys[~problem.never.cells(user, item)]
    if log.eligible_block(slice(0, 1)) is None:
        return keys
    keys = np.sort(keys)
    user, item = np.divmod(keys, log.n_items)
    inside = np.ones(len(keys), dtype=bool)
    for at in range(0, log.n_users, USERS_AT_ONCE):
        rows = slice(at, min(at + USERS_AT_ONCE, log.n_users))
        part = slice(*np.searchsorted(user, [rows.start, rows.stop]))
        allowed = log.eligible_block(rows)
        if allowed is not None and part.stop > part.start:
            inside[part] = allowed[user[part] - at, item[part]]
    return keys[inside]


def fit_case_control(problem: CellProblem) -> CellFit:
    """Fit the logit of all cells on a case-control sample of them."""
    options, within = problem.options, problem.within
    sample = draw_sample(problem, options.controls)
    X, Z = problem.X[within.users], problem.Z[within.items]
    rough = SampledProblem(
        X=X, Z=Z, users=(np.cumsum(within.users) - 1)[sample.users],
        items=(np.cumsum(within.items) - 1)[sample.items], observed=sample.observed,
        rate=sample.rate, penalty=ridges(options, X.shape[1], Z.shape[1]),
        user_penalty=None, item_penalty=None,
    )  # fmt: skip
    penalties, start = given_ridges(options), None
    said: tuple[str, ...] = ()
    if penalties is None:
        start, variances = _effect_variances(rough, options.max_iterations)
        wanted = (options.user_effects, options.item_effects)
        penalties, said = ridges_of_effects(wanted, variances, "logit")
    found = fit_sampled(
        replace(rough, user_penalty=penalties[0], item_penalty=penalties[1]),
        tolerance=options.tolerance, max_iterations=options.max_iterations, start=start,
    )  # fmt: skip
    cases = int(sample.observed.sum())
    note = (
        f"Fitted on all {cases:,} observed cells and {len(sample.users) - cases:,} of the others"
        f" ({sample.rate:.2%} of them), the intercept corrected for that (King & Zeng 2001)."
    )
    effects = problem.placed(found.user_effect, found.item_effect)
    backend = GridLogit(problem.X @ found.B, problem.Z, *effects)
    return CellFit(backend, (*said, note), found.converged, found.iterations)


def _effect_variances(
    rough: SampledProblem, max_iterations: int
) -> tuple[Floats, tuple[float, float]]:
    """Return B without effects, and the variances of effects that the cases ask for.

    Given which cells were drawn, cases are independent: their counts by user and by item vary
    around the fit as those of a grid do.
    """
    found = fit_sampled(rough, tolerance=ROUGH, max_iterations=max_iterations)
    logit = sampled_logits(rough, found.B, found.user_effect, found.item_effect)
    p = 1.0 / (1.0 + np.exp(np.log(rough.rate) - logit))

    def variance(codes: NDArray[np.intp], size: int) -> float:
        sums = (np.bincount(codes, values, size) for values in (rough.observed, p, p * (1.0 - p)))
        observed, mean, spread = (found.astype(np.float64) for found in sums)
        return excess_variance(observed, mean, spread)

    return found.B, (variance(rough.users, len(rough.X)), variance(rough.items, len(rough.Z)))
