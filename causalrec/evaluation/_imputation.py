"""The outcome model as evaluation needs it: a mean for any cell, and a law around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.errors import StudyError
from causalrec.evaluation._law import BernoulliLaw, OutcomeLaw, ResidualLaw
from causalrec.evaluation._level_law import FEWEST_CELLS, MOST_LEVELS, LevelLaw
from causalrec.evaluation._recommenders import Codes, Contender, FloatArray, contenders

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances import CellOutcomeModel, Propensity

N_FOLDS = 5
Means = Callable[["InteractionLog", Codes, Codes], FloatArray]


@dataclass(frozen=True, eq=False)
class Imputation:
    """Means of the outcome for cells of a log, and the law of an outcome around its mean.

    Attributes
    ----------
    means : callable (log, user codes, item codes) -> float64 array
    law : OutcomeLaw
    words : str
        What the model is and how it was fitted, for the assumptions.
    """

    means: Means
    law: OutcomeLaw
    words: str

    def cells(self, log: InteractionLog, users: Codes, items: Codes) -> FloatArray:
        """Return the mean of each cell."""
        return self.means(log, users, items)


def imputation_of(
    outcome_model: Any,
    log: InteractionLog,
    *,
    graph: CausalGraph | None = None,
    propensity: Propensity | None = None,
    cross_fitted: bool = True,
    seed: int | None = 0,
) -> Imputation:
    """Return an outcome model as means and a law, fitted here where it was not.

    Parameters
    ----------
    outcome_model : CellOutcomeModel, CrossFitted, Recommender, callable(users, items) or None
        A fitted one is used as it is; an unfitted one, or None, is fitted on `log`.
    log : InteractionLog
        What it is fitted on, and whose residuals are the law.
    graph : CausalGraph, optional
        Decides the covariates of a model fitted here.
    propensity : Propensity, optional
        Weights the recorded outcomes by 1 / p, so that their law is that of the population.
    cross_fitted : bool
        Fit by folds of users (each cell is then predicted by a model that has not seen its user),
        or once on all of `log`, where the cells that are predicted are not in it.
    seed : int, optional
        Seed of the folds.
    """
    if propensity is not None:
        from causalrec.nuisances import refuse_outcome_model

        refuse_outcome_model(propensity, "dr")
    means, words = _means_of(outcome_model, log, graph, cross_fitted, seed)
    cells = log.observed_cells()
    mean = means(log, cells.users, cells.items)
    if np.isin(cells.outcome, (0.0, 1.0)).all():
        return Imputation(means, BernoulliLaw(), words)
    weight = None
    if propensity is not None and log.kind == "ratings":
        from causalrec.nuisances import cell_propensity

        weight = 1.0 / cell_propensity(propensity, log, cells.users, cells.items)
    if len(mean) >= FEWEST_CELLS and len(np.unique(cells.outcome)) <= MOST_LEVELS:
        return Imputation(means, LevelLaw(cells.outcome, mean, weight), words)
    return Imputation(means, ResidualLaw(cells.outcome - mean, weight), words)


def _means_of(
    model: Any,
    log: InteractionLog,
    graph: CausalGraph | None,
    cross_fitted: bool,
    seed: int | None,
) -> tuple[Means, str]:
    from causalrec.nuisances import CellOutcomeModel, CrossFitted, cross_fit, folds_by_user

    if model is None:
        model = CellOutcomeModel(random_state=seed)
    if isinstance(model, CellOutcomeModel):
        if hasattr(model, "residual_variance_"):
            return _fitted_means(model), "the outcome model is the one given, as it was fitted"
        if not cross_fitted:
            fitted = model.clone().fit(log, graph)
            words = "the outcome model was learned on the rest of the log"
            return _fitted_means(fitted), f"{words} ({_covariates(fitted)})"
        found = cross_fit(model, log, folds_by_user(log, N_FOLDS, seed), graph)
        words = f"the outcome model is cross-fitted over {N_FOLDS} folds of users"
        return _fold_means(found), f"{words} ({_covariates(found.models_[0])})"
    if isinstance(model, CrossFitted):
        return _fold_means(model), "the outcome model is the cross-fitted one given, out of fold"
    given: Contender = contenders({"outcome model": model})[0]
    if given.lists_only:
        raise StudyError(
            "The outcome model is a table of lists: it says what is listed, not what is expected."
            " Pass a table with 'score', a model, or None for a cross-fitted feature model."
        )
    return given.predict, "the outcome model is the one given, as it was fitted"


def _covariates(model: CellOutcomeModel) -> str:
    return f"covariates: {', '.join(model.covariates_) or 'none'}"


def _fitted_means(model: CellOutcomeModel) -> Means:
    def means(log: InteractionLog, users: Codes, items: Codes) -> FloatArray:
        return model.predict_codes(
            _translated(log.user_ids, model.user_ids_)[users],
            _translated(log.item_ids, model.item_ids_)[items],
        )

    return means


def _fold_means(fitted: Any) -> Means:
    def means(log: InteractionLog, users: Codes, items: Codes) -> FloatArray:
        found: FloatArray = fitted.out_of_fold_codes(
            _translated(log.user_ids, fitted.log_.user_ids)[users],
            _translated(log.item_ids, fitted.log_.item_ids)[items],
        )
        return found

    return means


def _translated(asked: pd.Index, known: pd.Index) -> np.ndarray:
    """Return the known code of each asked id."""
    if asked is known or asked.equals(known):
        return np.arange(len(asked))
    codes = known.get_indexer(asked)
    if (codes < 0).any():
        raise StudyError(
            f"The outcome model does not know {int((codes < 0).sum()):,} of {len(asked):,} ids of"
            f" this log; the first: {asked[codes < 0][:5].tolist()}. Fit it on a log with the same"
            " user and item tables."
        )
    return np.asarray(codes)


def refuse_the_evaluated(outcome_model: Any, evaluated: tuple[Contender, ...]) -> None:
    """Raise if the outcome model is one of the models that it is to judge.

    With g = f the imputed squared error is the noise alone, and DR loses its second chance: a
    wrong propensity makes any model look good.
    """
    for contender in evaluated:
        same = outcome_model is contender.source
        bound = getattr(outcome_model, "__self__", None)
        if same or (bound is not None and bound is contender.source):
            raise StudyError(
                f"The outcome model is {contender.name!r}, the model that is evaluated: it would"
                " judge itself. Pass another one, or None for a cross-fitted feature model."
            )
