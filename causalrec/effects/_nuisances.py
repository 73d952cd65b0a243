"""The nuisances of one repeat: propensities and outcome models of the rows, out of fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import StudyError
from causalrec.inference import FittedNuisance, fitted_linear, fitted_logistic
from causalrec.nuisances import (
    ArmOutcomeModel,
    CrossFitted,
    Folds,
    LinearFit,
    PropensityModel,
    cross_fit,
    folds_by_user,
)

if TYPE_CHECKING:
    from causalrec.effects._econml._own import OwnAnswer
    from causalrec.effects._population import Population
    from causalrec.effects._question import Question
    from causalrec.graph import CausalGraph

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Role = Literal["propensity", "unexposed", "exposed"]
ARMS: tuple[tuple[int, Role], ...] = ((0, "unexposed"), (1, "exposed"))
SURELY = 1e-9
"""Propensities this near to 0 or 1 belong to profiles that were kept out of the fit."""


@dataclass(frozen=True, eq=False)
class Parametric:
    """One fitted linear model, as the stacked influence needs it.

    Attributes
    ----------
    role : "propensity", "unexposed" or "exposed"
    fit : LinearFit
    design : float64 (n, k)
        Of all supported rows; shared between folds.
    trained, used : bool (n,)
        The rows it was fitted on, and the rows it predicts.
    """

    role: Role
    fit: LinearFit
    design: Floats
    trained: Bools
    used: Bools

    def nuisance(self, target: Floats, row_weights: Floats | None = None) -> FittedNuisance:
        """Describe the fit to `causalrec.inference.stack_nuisances`."""
        describe = fitted_logistic if self.fit.link == "logit" else fitted_linear
        mean = self.fit.predict(self.design)
        weight = self.trained.astype(np.float64)
        weight = weight if row_weights is None else weight * row_weights
        return describe(self.design, target, mean, weight=weight, penalty=self.fit.penalty)

    @property
    def slope(self) -> Floats:
        """Derivative of the prediction by the linear predictor, 0 in rows it does not predict.

        Derivatives of scores by a propensity are taken by its logit already.
        """
        if self.role == "propensity":
            return self.used.astype(np.float64)
        return self.fit.slope(self.design) * self.used


@dataclass(frozen=True, eq=False)
class Nuisances:
    """Nuisances of the supported rows.

    Attributes
    ----------
    propensity : float64 (n,)
        Clipped, if asked.
    unexposed, exposed : float64 (n,) or None
        E[Y | X, A = 0] and E[Y | X, A = 1].
    parametric : tuple of Parametric
        Those whose error is stacked into the influence.
    n_clipped : int
    unclipped : bool (n,) or None
        Rows whose propensity was not clipped; None for all.
    notes : tuple of str
    own : OwnAnswer or None
        What EconML itself would report, where it fitted them.
    """

    propensity: Floats
    unexposed: Floats | None = None
    exposed: Floats | None = None
    parametric: tuple[Parametric, ...] = ()
    n_clipped: int = 0
    unclipped: Bools | None = None
    notes: tuple[str, ...] = ()
    own: OwnAnswer | None = None

    def has(self, role: Role) -> bool:
        """Return whether the error of this nuisance is stacked."""
        return any(one.role == role for one in self.parametric)


@dataclass(frozen=True, eq=False)
class Fitter:
    """Fits the nuisances of a population once for each seed."""

    population: Population
    graph: CausalGraph
    question: Question
    outcome_model: Any
    designs: dict[Role, Floats] = field(default_factory=dict)
    """Designs do not depend on the folds: one for all repeats."""

    def fit(self, seed: int) -> Nuisances:
        """Fit on folds of users dealt with this seed; predictions are out of fold."""
        question, rows = self.question, self.population.rows
        folds = folds_by_user(rows, question.n_folds, seed)
        held = np.asarray(folds.of_cells(rows.user_codes, rows.item_codes))
        raw, parametric = self._propensity(folds, held)
        p, unclipped = _clip(raw, question.clip)
        found: dict[str, Any] = {}
        if question.uses_outcome_model:
            model = as_outcome_model(self.outcome_model, rows, question.random_state)
            fitted = cross_fit(model, rows, folds, self.graph, **self._weights)
            for arm, role in ARMS:
                found[role] = fitted.out_of_fold_rows(arm=arm)
            parametric += self._outcome_fits(fitted, held)
        n_clipped = 0 if unclipped is None else int((~unclipped).sum())
        kept = tuple(one for one in parametric if one.role != "propensity" or self._weighted)
        if question.estimator == "regression" and not question.sampled and not kept:
            raise StudyError(
                "sampled=() asks for the error over these very rows, and a regression by an"
                " outcome model whose own error is not known (it is no linear fit) has none to"
                " show. Choose estimator='dr', or name what was sampled, e.g. ('user', 'item')."
            )
        return Nuisances(p, parametric=kept, n_clipped=n_clipped, unclipped=unclipped, **found)

    @property
    def _weights(self) -> dict[str, Floats]:
        """Row weights as an option of a fit; nothing where rows count alike."""
        weights = self.population.weights
        return {} if weights is None else {"weights": weights}

    @property
    def _weighted(self) -> bool:
        return self.question.uses_propensity

    def _propensity(self, folds: Folds, held: NDArray[Any]) -> tuple[Floats, list[Parametric]]:
        population = self.population
        given = population.values[population.supported]
        if not self._weighted:
            return given, []
        if population.template is None:
            return given, self._given_fit(given)
        near = population.propensity  # the template, fitted on all rows: folds start from there
        model = near if isinstance(near, PropensityModel) else population.template
        fitted = cross_fit(model, population.rows, folds, self.graph, **self._weights)
        p = fitted.out_of_fold_rows()
        inside = (p > SURELY) & (p < 1.0 - SURELY)
        found = []
        for number, model in enumerate(fitted.models_):
            if model.linear_fit_ is None or model.row_design_ is None:
                return p, []
            design = self.designs.setdefault("propensity", model.row_design_.matrix)
            trained, used = (held != number) & inside, (held == number) & inside
            found.append(Parametric("propensity", model.linear_fit_, design, trained, used))
        return p, found

    def _given_fit(self, p: Floats) -> list[Parametric]:
        """Return the fit behind given propensities, if they are a logistic fit on this log."""
        model, inside = self.population.propensity, self.population.supported
        if not isinstance(model, PropensityModel) or model.linear_fit_ is None:
            return []
        if self.population.weights is not None:  # it was fitted to rows that count alike
            return []
        design = None if model.row_design_ is None else model.row_design_.matrix
        if design is None or len(design) != len(inside):
            return []
        design = design[inside]
        if not np.allclose(model.linear_fit_.predict(design), p, rtol=0.0, atol=1e-9):
            return []
        every = np.ones(len(p), dtype=bool)
        return [Parametric("propensity", model.linear_fit_, design, every, every)]

    def _outcome_fits(self, fitted: CrossFitted[Any], held: NDArray[Any]) -> list[Parametric]:
        exposure, found = self.population.exposure, []
        for number, model in enumerate(fitted.models_):
            fits: Mapping[int, LinearFit] = getattr(model, "linear_fits_", {})
            for arm, role in ARMS:
                if arm not in fits:
                    return []
                design = self.designs.setdefault("exposed", model.design_.matrix)
                trained = (held != number) & (exposure == arm)
                found.append(Parametric(role, fits[arm], design, trained, held == number))
        return found


def as_outcome_model(given: Any, rows: Any, random_state: int | None) -> Any:
    """Return an outcome model for the cross-fitter; scikit-learn estimators are wrapped."""
    if given is None:
        return ArmOutcomeModel(random_state=random_state)
    if hasattr(given, "for_rows"):
        return given
    binary = bool(np.isin(rows.outcome, (0.0, 1.0)).all())
    if binary:
        return ArmOutcomeModel(classifier=given, random_state=random_state)
    return ArmOutcomeModel(regressor=given, random_state=random_state)


def _clip(p: Floats, clip: float | None) -> tuple[Floats, Bools | None]:
    if clip is None:
        return p, None
    clipped = np.clip(p, clip, 1.0 - clip)
    return clipped, clipped == p
