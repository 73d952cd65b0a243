"""Two changes of a training problem: cells of a randomised slice, and popularity taken out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError
from causalrec.factorization._common import Factors
from causalrec.factorization._training import Problem

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
Popularity = Literal["ignore", "remove", "adjust"]


def randomized_cells(log: InteractionLog) -> NDArray[np.bool_]:
    """Return which observed cells have a row of the randomised slice, bool (n_cells,).

    A cell that was both chosen and drawn counts as drawn: its outcome would have been recorded
    whatever the user chose.

    Raises
    ------
    DataError
        If the log has no slice, or nothing beside it.
    """
    log.require_fields("randomized", purpose="training with a randomised slice")
    assert log.randomized is not None  # just required
    cells = log.observed_cells()
    keys = log.user_codes.astype(np.int64) * log.n_items + log.item_codes
    drawn = np.unique(keys[log.randomized])
    found = np.isin(cells.users.astype(np.int64) * log.n_items + cells.items, drawn)
    if not found.any() or found.all():
        count = int(found.sum())
        raise DataError(
            f"use_randomized= trains on selected and randomised cells together; {count:,} of the"
            f" {len(found):,} observed cells are randomised. Name the slice with randomized=..., or"
            " leave use_randomized out."
        )
    return found


def with_randomized(
    problem: Problem, drawn: NDArray[np.bool_], share: bool | float
) -> tuple[Problem, float]:
    """Weigh the slice and the selected cells so that each part estimates the same mean loss.

    Within the slice every cell has the same known rate, among the selected cells weights are
    1 / p; both means are self-normalised, and the slice's counts `share`. True chooses the share
    that has the smallest variance when both are unbiased and losses vary alike: in proportion to
    the effective sample sizes.

    Parameters
    ----------
    problem : Problem
    drawn : bool array (n,)
    share : True or float in (0, 1)

    Returns
    -------
    Problem, float
        The problem with 1 / propensity as the weights, and the share used.
    """
    weights = 1.0 / problem.propensity
    weights[drawn] = 1.0
    selected = weights[~drawn]
    n_drawn = int(drawn.sum())
    if share is True:
        effective = float(selected.sum() ** 2 / np.square(selected).sum())
        share = n_drawn / (n_drawn + effective)
    share = float(share)
    weights[~drawn] *= (1.0 - share) * len(weights) / selected.sum()
    weights[drawn] = share * len(weights) / n_drawn
    return replace(problem, propensity=1.0 / weights), share


def item_popularity(problem: Problem, exponent: float) -> Floats:
    """Return popularity to a power, mean 1 over the observed cells, float64 (n_items,).

    Popularity is the number of observed cells of an item, plus one: an item nobody has touched
    keeps a place. Divided by its mean, f is the outcome at average popularity.
    """
    counts = np.bincount(problem.pattern.items, minlength=problem.pattern.n_items) + 1.0
    power = np.power(counts / counts.mean(), exponent)
    return np.asarray(power / power[problem.pattern.items].mean(), dtype=np.float64)


def without_popularity(problem: Problem, power: Floats) -> Problem:
    """Fit y = f m^gamma by least squares: f's target is y / m^gamma, its weight times m^(2 gamma).

    The propensity is divided by m^(2 gamma), so that 1 / propensity is that weight; it need not
    stay below one.
    """
    here = power[problem.pattern.items]
    return replace(problem, outcome=problem.outcome / here, propensity=problem.propensity / here**2)


def scaled_by_item(factors: Factors, power: Floats) -> Factors:
    """Return the factors of f_ui x power_i: the user's level becomes one more factor.

    Examples
    --------
    >>> from causalrec.factorization._common import Factors
    >>> f = Factors(1.0, np.ones((1, 1)), np.ones((2, 1)), np.array([0.5]), np.array([0.0, 1.0]))
    >>> scaled_by_item(f, np.array([1.0, 2.0])).predict(np.array([0, 0]), np.array([0, 1])).tolist()
    [2.5, 7.0]
    """
    dtype = factors.user_factors.dtype
    level = (factors.user_biases + factors.intercept)[:, None]
    column = power[:, None]
    return Factors(
        0.0,
        np.hstack([factors.user_factors, level]).astype(dtype),
        np.hstack([factors.item_factors * column, column]).astype(dtype),
        np.zeros_like(factors.user_biases),
        (factors.item_biases * power).astype(dtype),
    )
