"""`ShadowPropensity`: P(recorded | covariates, outcome), found through a shadow variable."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError, IdentificationError, PropensityWarning
from causalrec.graph import checked_graph
from causalrec.nuisances._base import Floats, Propensity, sampling_rate
from causalrec.nuisances._features import Covariates, choose_covariates
from causalrec.nuisances._parameters import Parameters
from causalrec.nuisances._shadow_basis import CellBasis, cell_basis
from causalrec.nuisances._shadow_fit import ShadowEquations, ShadowSolution, solve_equations
from causalrec.nuisances._shadow_tests import ShadowTests, shadow_tests

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph, Estimand
    from causalrec.interactions import InteractionLog

WEAK_SHADOW = 10.0
"""A shadow with a smaller F is called weak (Staiger & Stock 1997, for instruments)."""


@dataclass(frozen=True, eq=False)
class ShadowFit:
    """Everything that a fit found."""

    log: InteractionLog
    basis: CellBasis
    equations: ShadowEquations
    solution: ShadowSolution
    tests: ShadowTests
    center: float


class ShadowPropensity(Parameters, Propensity):
    """P(recorded | covariates, outcome) of the cells of a rating log, through a shadow variable.

    Where the outcome decides whether it is recorded, no function of covariates is the propensity:
    logit p = x'b + slope y. A *shadow variable* moves the outcome and, given outcome and
    covariates, has no say in the recording. Then b and slope follow from what the weighted
    recorded cells must add up to: every function of covariates and shadow (both known for every
    cell) has the same sum over recorded cells, weighted by 1/p, as over all eligible cells.

    Parameters
    ----------
    shadow : str, optional
        Column of users or items; default: what the graph declares with role=shadow.
    covariates : sequence of str, optional
        Columns that decide the recording beside the outcome; default: the graph's.
    crosses : bool, default True
        User feature x item feature products, in the propensity and in what is balanced.
    tolerance : float, default 1e-10
        Relative change of the least squares criterion, or of the parameters, at convergence.
    max_iterations : int, default 500

    Attributes
    ----------
    shadow_ : str
    covariates_ : tuple of str
    slope_, slope_error_ : float
        By how much a unit of the outcome raises the logit of being recorded, and its standard
        error, clustered by user and item.
    strength_ : float
        F statistic of the shadow in a regression of the recorded outcomes on shadow and
        covariates, weighted by (1 - p) / p and clustered. Below 10 the answer leans on chance.
    overidentification_ : (float, int, float)
        F statistic, degrees of freedom and p-value of what more equations than parameters leave
        over; (nan, 0, nan) where there are not more. A small p says that no propensity of this
        form balances shadow and covariates: the shadow has a say in the recording, or the form is
        wrong.
    coefficients_ : dict of str to float
        Of the logit; numbers are standardised, words lack their first level, the outcome is
        centred.

    References
    ----------
    Miao & Tchetgen Tchetgen (2016), "On varieties of doubly robust estimators under missingness
    not at random with a shadow variable", Biometrika 103; Wang, Shao & Kim (2014), "An instrumental
    variable approach for identification and estimation with nonignorable nonresponse", Statistica
    Sinica 24.

    Examples
    --------
    >>> import causalrec as cr
    >>> world = cr.simulate("music", 400, 200, 1, density=0.2, selection_on_rating=0.6, critics=0.8)
    >>> model = cr.ShadowPropensity().fit(world.log, world.graph)
    >>> model.shadow_, bool(abs(model.slope_ - 0.6) < 3 * model.slope_error_)
    ('critics', True)
    """

    user_ids_ = None
    item_ids_ = None
    depends_on_outcome = True

    def __init__(
        self,
        shadow: str | None = None,
        *,
        covariates: Sequence[str] | None = None,
        crosses: bool = True,
        tolerance: float = 1e-10,
        max_iterations: int = 500,
    ) -> None:
        self.shadow = shadow
        self.covariates = covariates
        self.crosses = crosses
        self.tolerance = tolerance
        self.max_iterations = max_iterations

    def fit(self, log: InteractionLog, graph: CausalGraph | None = None) -> ShadowPropensity:
        """Solve the equations.

        Parameters
        ----------
        log : InteractionLog
            Ratings.
        graph : CausalGraph, optional
            Asked for the shadow variable and the covariates, where they are not named.

        Raises
        ------
        IdentificationError
            If the graph has no valid shadow, or the shadow does not determine the slope.
        DataError
            If a column is missing or belongs to events, or no propensities solve the equations.

        Warns
        -----
        PropensityWarning
            If the shadow is weak, or the overidentification test rejects at 1 %.
        """
        log.require("ratings", purpose="a propensity that depends on the rating")
        shadow, covariates = self._columns(log, graph)
        basis = cell_basis(log, covariates, shadow, crosses=self.crosses)
        cells = log.observed_cells()
        if not np.ptp(cells.outcome) > 0:
            raise DataError(
                "The recorded outcomes are all the same: how the outcome decides its recording"
                " cannot be learned from them."
            )
        functions = basis.at(cells.users, cells.items)
        center = float(cells.outcome.mean())
        design = np.column_stack([functions[:, basis.explains], cells.outcome - center])
        equations = ShadowEquations(functions, design, basis.totals(log), log.n_eligible)
        solution = solve_equations(
            equations,
            basis.solved,
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
            shadow=shadow,
        )
        tests = shadow_tests(log, basis, equations, solution)
        self._fit = ShadowFit(log, basis, equations, solution, tests, center)
        self._describe(log, shadow, covariates)
        return self

    def _columns(self, log: InteractionLog, graph: CausalGraph | None) -> tuple[str, Covariates]:
        if self.shadow is not None and self.covariates is not None:
            return self.shadow, choose_covariates(log, None, self.covariates)
        if graph is None:
            raise IdentificationError(
                "A shadow variable is an assumption about what decides the recording: declare it in"
                " a graph (role=shadow), or name both shadow=... and covariates=[...]."
            )
        estimand = checked_graph(graph).identify("mean", strategies=("shadow",))
        if estimand.strategy != "shadow variable":
            raise IdentificationError(
                "In this graph the outcome does not decide its own recording"
                f" ({estimand.strategy}): no shadow variable is needed. Use PropensityModel."
            )
        shadow = self.shadow or _column_of(graph, estimand)
        named = self.covariates
        chosen = choose_covariates(
            log, None, [c.column for c in estimand.covariates] if named is None else named
        )
        return shadow, chosen

    def _describe(self, log: InteractionLog, shadow: str, covariates: Covariates) -> None:
        fit = self._fit
        names = [n for n, kept in zip(fit.basis.names, fit.basis.explains, strict=True) if kept]
        self.of_, self.sampling_rate_ = "observed", sampling_rate(log)
        self.user_ids_, self.item_ids_ = log.user_ids, log.item_ids
        self.share_clipped_ = 0.0
        self.shadow_, self.covariates_ = shadow, covariates.columns
        self.coefficients_ = dict(
            zip([*names, "outcome"], map(float, fit.solution.theta), strict=True)
        )
        self.slope_, self.slope_error_ = float(fit.solution.theta[-1]), fit.tests.slope_error
        self.strength_ = fit.tests.strength
        self.overidentification_ = (fit.tests.excess, fit.tests.freedom, fit.tests.p_value)
        self.notes_ = (
            f"The propensity depends on the outcome: a unit raises its logit by {self.slope_:.3g}"
            f" (standard error {self.slope_error_:.2g}), learned through the shadow variable"
            f" {shadow!r}.",
        )
        if not self.strength_ >= WEAK_SHADOW:
            self._warn(
                f"The shadow variable {shadow!r} is weak: F = {self.strength_:.3g}, below"
                f" {WEAK_SHADOW:g}. Estimate and interval lean on chance; look for a shadow that"
                " moves the outcome more, a randomised slice, or bounds."
            )
        if self.overidentification_[2] < 0.01:
            self._warn(
                f"No propensity of this form balances the shadow variable {shadow!r} and the"
                f" covariates (overidentification test, p = {self.overidentification_[2]:.2g}):"
                f" {shadow} has a say in what is recorded, or the form is wrong."
            )

    def _warn(self, text: str) -> None:
        self.notes_ = (*self.notes_, text)
        warnings.warn(text, PropensityWarning, stacklevel=4)

    @property
    def fitted(self) -> ShadowFit:
        """Equations and solution: what the influence of an estimate needs."""
        from causalrec import errors

        if not hasattr(self, "_fit"):
            raise errors.NotFittedError.of(self)
        return self._fit

    def given_outcome(
        self, user_codes: NDArray[Any], item_codes: NDArray[Any], outcome: NDArray[Any] | float
    ) -> Floats:
        """Return P(recorded | covariates, outcome) of aligned cells; float64 (n,)."""
        fit = self.fitted
        users, items = np.asarray(user_codes), np.asarray(item_codes)
        theta = fit.solution.theta
        value = fit.basis.at(users, items)[:, fit.basis.explains] @ theta[:-1]
        value = value + theta[-1] * (np.asarray(outcome, dtype=np.float64) - fit.center)
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(-value, -500.0, 500.0))))

    def of_cells(
        self, log: InteractionLog, user_codes: NDArray[Any], item_codes: NDArray[Any]
    ) -> Floats:
        """Return P of aligned cells by the codes of a log, at the outcomes that it records.

        An unrecorded cell has no outcome: its P is that at the mean of the recorded ones. No
        weight reads it; a decision on support does.
        """
        users, items = np.asarray(user_codes), np.asarray(item_codes)
        cells = log.observed_cells()
        known = cells.users.astype(np.int64) * log.n_items + cells.items
        asked = users.astype(np.int64) * log.n_items + items
        outcome = np.full(len(asked), self.fitted.center)
        if len(known):
            at = np.minimum(np.searchsorted(known, asked), len(known) - 1)
            outcome = np.where(known[at] == asked, cells.outcome[at], outcome)
        to_user, to_item = self.aligned(log)
        users = users if to_user is None else to_user[users]
        items = items if to_item is None else to_item[items]
        return self.given_outcome(users, items, outcome)

    def predict_codes(self, user_codes: NDArray[Any], item_codes: NDArray[Any]) -> Floats:
        """Return P of aligned cells of the log that it was fitted on; see `of_cells`."""
        fit = self.fitted
        return self.of_cells(fit.log, user_codes, item_codes)

    def block(self, users: slice) -> Floats:
        """Return P of a block of users against all items, (b, n_items); see `of_cells`."""
        log = self.fitted.log
        mine = np.arange(log.n_users)[users]
        rows, columns = np.repeat(mine, log.n_items), np.tile(np.arange(log.n_items), len(mine))
        return self.predict_codes(rows, columns).reshape(len(mine), log.n_items)

    def for_rows(self, log: InteractionLog) -> Floats:
        """Return P of each row of a log at its outcome, float64 (n_rows,)."""
        log.require("ratings", purpose="a propensity that depends on the rating")
        return self.of_cells(log, log.user_codes, log.item_codes)


def _column_of(graph: CausalGraph, estimand: Estimand) -> str:
    node = graph.nodes[estimand.shadows[0]]
    return node.column or node.name
