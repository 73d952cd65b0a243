"""The grid of a ratings log as a problem for the whole-grid logit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError
from causalrec.nuisances._grid_logit import (
    GridProblem,
    GridSolution,
    blocks,
    bucket,
    excess_variance,
    expected_by_side,
    fit_grid,
)

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances._cell_folds import HeldOut
    from causalrec.nuisances._never import Never
    from causalrec.nuisances._options import FitOptions, Within

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Penalties = tuple[float | None, float | None]

NO_CROSS = 1e12
"""A ridge that leaves nothing of a cross: the model without crosses, to machine precision."""
ROUGH = 0.01
"""Tolerance, in standard errors, of the fit that only serves to see how much counts vary."""
LEAST_VARIANCE = 1e-4
"""Effects with a smaller variance on the logit (a percent either way) are left out."""


@dataclass(frozen=True)
class Grid:
    """What was observed where, among the users and items of a fit.

    Attributes
    ----------
    X, Z : float64 (m, p), (n, q)
        Features with a leading 1, of the users and items within.
    by_user, by_item : float64 (m,), (n,)
        Observed cells.
    cross : float64 (p, q)
        X'OZ.
    held_out : HeldOut or None
        Cells that the fit is not to see.
    """

    log: InteractionLog
    within: Within
    never: Never
    X: Floats
    Z: Floats
    by_user: Floats
    by_item: Floats
    cross: Floats
    held_out: HeldOut | None = None

    @classmethod
    def of(
        cls,
        log: InteractionLog,
        X: Floats,
        Z: Floats,
        within: Within,
        never: Never,
        held_out: HeldOut | None = None,
    ) -> Grid:
        """Collect it from a log."""
        import scipy.sparse as sp

        users, items = within.observed(log)
        if held_out is not None:
            seen = ~held_out.cells(users, items)
            users, items = users[seen], items[seen]
        if not len(users):
            raise DataError("No cell was observed among the users and items to fit on.")
        observed = sp.csr_array(
            (np.ones(len(users)), (users, items)), shape=(log.n_users, log.n_items)
        )
        by_user = np.bincount(users, minlength=log.n_users)[within.users].astype(np.float64)
        by_item = np.bincount(items, minlength=log.n_items)[within.items].astype(np.float64)
        cross = np.asarray(X.T @ (observed @ Z))
        X, Z = X[within.users], Z[within.items]
        return cls(log, within, never, X, Z, by_user, by_item, cross, held_out)

    @property
    def everything(self) -> bool:
        """Whether every cell is part of the fit, but for never-observed profiles."""
        return self.held_out is None and self.log.eligible_block(slice(0, 1)) is None

    @property
    def eligible(self) -> Callable[[slice], Bools | None] | None:
        """Block of users within -> items within that are part of the fit; None: all."""
        return self._eligible(np.arange(len(self.X)), np.arange(len(self.Z)))

    def effect_penalties(
        self, options: FitOptions
    ) -> tuple[Penalties, tuple[str, ...], Floats | None]:
        """Return the ridge of user and item effects, what to say about it, and a B to start from.

        Where it is not given, it is one over the variance of the effects, estimated from how much
        more the counts vary around a fit without effects than chance would have them.
        """
        wanted, given = (options.user_effects, options.item_effects), given_ridges(options)
        if given is not None:
            return given, (), None
        rough = replace(options, tolerance=ROUGH)
        found, user_of, item_of = self.fit(rough, (None, None))
        problem, _, _ = self.problem(options, (None, None))
        none = np.zeros(len(problem.X)), np.zeros(len(problem.Z))
        mean_u, spread_u, mean_i, spread_i = expected_by_side(problem, found.B, *none)
        variances = (
            excess_variance(self.by_user, mean_u[user_of], spread_u[user_of]),
            excess_variance(self.by_item, mean_i[item_of], spread_i[item_of]),
        )
        return (*ridges_of_effects(wanted, variances, "logit"), found.B)

    def fit(
        self, options: FitOptions, penalties: Penalties, start: Floats | None = None
    ) -> tuple[GridSolution, NDArray[np.intp], NDArray[np.intp]]:
        """Fit the logit; also return the bucket of each user and item within."""
        problem, user_of, item_of = self.problem(options, penalties)
        found = fit_grid(
            problem,
            tolerance=options.tolerance,
            max_iterations=options.max_iterations,
            start=start,
        )
        return found, user_of, item_of

    def problem(
        self, options: FitOptions, penalties: Penalties
    ) -> tuple[GridProblem, NDArray[np.intp], NDArray[np.intp]]:
        """Bucket the grid; also return the bucket of each user and item within."""
        may_bucket = self.everything
        user_effects, item_effects = (penalty is not None for penalty in penalties)
        X, cu, nu, user_of = _side(self.X, self.by_user, user_effects, may_bucket)
        Z, ci, ni, item_of = _side(self.Z, self.by_item, item_effects, may_bucket)
        problem = GridProblem(
            X=X, Z=Z, user_count=cu, item_count=ci, observed_by_user=nu, observed_by_item=ni,
            cross=self.cross, penalty=ridges(options, X.shape[1], Z.shape[1]),
            user_penalty=penalties[0], item_penalty=penalties[1],
            eligible=self._eligible(user_of, item_of),
        )  # fmt: skip
        return problem, user_of, item_of

    def _eligible(
        self, user_of: NDArray[np.intp], item_of: NDArray[np.intp]
    ) -> Callable[[slice], Bools | None] | None:
        """Return block of buckets -> cells of the likelihood; None where it has them all.

        A profile is a matter of features, so one member stands for its bucket.
        """
        if self.everything and not self.never.profiles:
            return None
        users = np.flatnonzero(self.within.users)[np.unique(user_of, return_index=True)[1]]
        items = np.flatnonzero(self.within.items)[np.unique(item_of, return_index=True)[1]]

        packed = np.vstack([
            np.packbits(self._allowed(users[rows], items), axis=1)
            for rows in blocks(len(users), len(items))
        ])  # fmt: skip

        def block(rows: slice) -> Bools:
            return np.unpackbits(packed[rows], axis=1, count=len(items)).astype(bool)

        return block

    def _allowed(self, users: NDArray[np.intp], items: NDArray[np.intp]) -> Bools:
        never = self.never.block(users, items)
        inside = np.ones((len(users), len(items)), dtype=bool) if never is None else ~never
        if not self.everything:
            for at, user in enumerate(users):
                allowed = self.log.eligible_block(slice(int(user), int(user) + 1))
                if allowed is not None:
                    inside[at] &= allowed[0, items]
        if self.held_out is not None:
            inside &= ~self.held_out.block(users, items)
        return inside


def ridges(options: FitOptions, p: int, q: int) -> Floats:
    """Return the ridge of each coefficient of B, (p, q)."""
    penalty = np.full((p, q), options.cross_regularization)
    if not options.crosses:
        penalty[:] = NO_CROSS
    penalty[0], penalty[:, 0] = options.regularization, options.regularization
    penalty[0, 0] = 0.0
    return penalty


def given_ridges(options: FitOptions) -> Penalties | None:
    """Return the ridges of user and item effects where nothing is to be estimated, else None."""
    wanted, given = (options.user_effects, options.item_effects), options.effect_regularization
    if given is None and any(wanted):
        return None
    return given if wanted[0] else None, given if wanted[1] else None


def ridges_of_effects(
    wanted: tuple[bool, bool], variances: tuple[float, float], scale: str
) -> tuple[Penalties, tuple[str, ...]]:
    """Return one over the variances of user and item effects, and what to say about them."""
    user, item = (
        1.0 / v if use and v > LEAST_VARIANCE else None
        for use, v in zip(wanted, variances, strict=True)
    )
    words = [
        f"{side} effects have a standard deviation of {variance**0.5:.2g} on the {scale}"
        if penalty is not None
        else f"{side} counts vary no more than the features explain: no {side} effects"
        for side, use, variance, penalty in zip(
            ("user", "item"), wanted, variances, (user, item), strict=True
        )
        if use
    ]
    return (user, item), (f"Effects: {'; '.join(words)}.",)


def _side(
    features: Floats, observed: Floats, effects: bool, may_bucket: bool
) -> tuple[Floats, Floats, Floats, NDArray[np.intp]]:
    if not may_bucket:
        return features, np.ones(len(features)), observed, np.arange(len(features))
    if effects:
        return bucket(features, observed)
    profiles, count, _, of = bucket(features, np.zeros(len(features)))
    total = np.bincount(of, weights=observed, minlength=len(profiles)).astype(np.float64)
    return profiles, count, total, of
