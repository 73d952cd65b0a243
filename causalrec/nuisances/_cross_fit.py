"""One cross-fitter for every nuisance: by folds of users, or by blocks of users x items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError, StudyError
from causalrec.nuisances._base import Propensity
from causalrec.nuisances._model import PropensityModel
from causalrec.nuisances._outcome_cells import CellOutcomeModel

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Predictions = Literal["in_sample", "out_of_fold"]


class Nuisance(Protocol):
    """What the cross-fitter asks of a model."""

    def clone(self) -> Self:
        """Return an unfitted copy."""
        ...

    def fit(
        self,
        log: InteractionLog,
        graph: CausalGraph | None = None,
        *,
        users: Bools | None = None,
        items: Bools | None = None,
    ) -> Any:
        """Fit on some users and items."""
        ...

    def for_rows(self, log: InteractionLog) -> Floats:
        """Predict the rows of a log."""
        ...


Model = TypeVar("Model", bound=Nuisance)


@dataclass(frozen=True)
class Folds:
    """Which users (and items) are held out together.

    With item folds, the model that predicts the block (user fold k, item fold l) has seen no user
    of k and no item of l: the multiway cross-fitting of Chiang, Kato, Ma & Sasaki (2022, JBES 40,
    "Multiway Cluster Robust Double/Debiased Machine Learning", algorithm 2).

    Attributes
    ----------
    user_fold : int (n_users,)
    item_fold : int (n_items,) or None
        None: folds by user, every item is in every fold.
    n_user_folds, n_item_folds : int
    """

    user_fold: NDArray[np.int32]
    item_fold: NDArray[np.int32] | None
    n_user_folds: int
    n_item_folds: int

    def __len__(self) -> int:
        return self.n_user_folds * self.n_item_folds

    def __iter__(self) -> Iterator[tuple[Bools, Bools | None]]:
        """Yield (users, items) that each model is fitted on; items None: all."""
        for k in range(self.n_user_folds):
            for j in range(self.n_item_folds):
                yield self.user_fold != k, None if self.item_fold is None else self.item_fold != j

    @property
    def members(self) -> Bools:
        """Which parts (by `of_cells`) each model is fitted on, (models, parts)."""
        user, item = np.divmod(np.arange(len(self)), self.n_item_folds)
        apart = user[:, None] != user
        return np.asarray(apart if self.item_fold is None else apart & (item[:, None] != item))

    def of_cells(self, user_codes: NDArray[Any], item_codes: NDArray[Any]) -> NDArray[Any]:
        """Return the number of the model that has not seen each aligned cell."""
        if self.item_fold is None:
            return np.asarray(self.user_fold[user_codes])
        return np.asarray(
            self.user_fold[user_codes] * self.n_item_folds + self.item_fold[item_codes]
        )

    def row_pairs(self, log: InteractionLog) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """Return (training rows, held-out rows) of each fold, as scikit-learn and EconML take."""
        held = self.of_cells(log.user_codes, log.item_codes)
        pairs = []
        for number, (users, items) in enumerate(self):
            seen = users[log.user_codes]
            if items is not None:
                seen &= items[log.item_codes]
            pairs.append((np.flatnonzero(seen), np.flatnonzero(held == number)))
        return pairs


def folds_by_user(log: InteractionLog, n_folds: int = 5, random_state: int | None = 0) -> Folds:
    """Deal the users with rows into folds of equal size, at random.

    Examples
    --------
    >>> import pandas as pd
    >>> from causalrec import InteractionLog
    >>> log = InteractionLog(pd.DataFrame({"user_id": [1, 2, 3, 4], "item_id": [1, 1, 2, 2],
    ...                                    "rating": [1, 2, 3, 4]}))
    >>> sorted(folds_by_user(log, 2).user_fold.tolist())
    [0, 0, 1, 1]
    """
    rng = np.random.default_rng(random_state)
    return Folds(_deal(log.n_users, log.user_codes, n_folds, rng, "users"), None, n_folds, 1)


def folds_by_block(
    log: InteractionLog,
    n_user_folds: int = 3,
    n_item_folds: int = 3,
    random_state: int | None = 0,
) -> Folds:
    """Deal users and items into folds; each block of both is predicted by a model of neither."""
    rng = np.random.default_rng(random_state)
    users = _deal(log.n_users, log.user_codes, n_user_folds, rng, "users")
    items = _deal(log.n_items, log.item_codes, n_item_folds, rng, "items")
    return Folds(users, items, n_user_folds, n_item_folds)


def _deal(
    size: int, codes: NDArray[Any], n_folds: int, rng: np.random.Generator, what: str
) -> NDArray[np.int32]:
    present = np.bincount(codes, minlength=size) > 0
    if n_folds < 2 or present.sum() < n_folds:
        raise StudyError(
            f"{n_folds} folds of {int(present.sum())} {what}: there must be at least two folds,"
            " and as many users or items as folds."
        )
    fold = np.empty(size, dtype=np.int32)
    for group in (np.flatnonzero(present), np.flatnonzero(~present)):
        fold[rng.permutation(group)] = np.arange(len(group)) % n_folds
    return fold


class CrossFitted(Generic[Model]):
    """One fitted model a fold; every cell is predicted by the model that has not seen it.

    Attributes
    ----------
    models_ : list
        In the order of the folds.
    folds_ : Folds
    log_ : InteractionLog
        The log it was fitted on.
    """

    def __init__(self, models: Sequence[Model], folds: Folds, log: InteractionLog) -> None:
        self.models_, self.folds_, self.log_ = list(models), folds, log

    def out_of_fold_rows(self, log: InteractionLog | None = None, **options: Any) -> Floats:
        """Return predictions of the rows of a log by the models that have not seen them.

        Parameters
        ----------
        log : InteractionLog, optional
            The same code space as the log it was fitted on (the default).
        **options
            Passed to the models' `for_rows` (`arm=0`).

        Returns
        -------
        float64 (n_rows,)
        """
        asked = self.log_ if log is None else log
        number = self.folds_.of_cells(asked.user_codes, asked.item_codes)
        out = np.empty(asked.n_rows)
        for at, model in enumerate(self.models_):
            rows = number == at
            if rows.any():
                out[rows] = self._predict(model, asked, rows, options)
        return out

    def _predict(
        self, model: Any, asked: InteractionLog, rows: Bools, options: dict[str, Any]
    ) -> Floats:
        found = None
        if asked is self.log_ and hasattr(model, "for_fitted_rows"):  # its design is at hand
            found = model.for_fitted_rows(asked, rows, **options)
        if found is None:
            found = model.for_rows(asked.select(rows), **options)
        return np.asarray(found, dtype=np.float64)

    def out_of_fold_codes(self, user_codes: NDArray[Any], item_codes: NDArray[Any]) -> Floats:
        """Return predictions of aligned cells by the models that have not seen them, float64."""
        users, items = np.asarray(user_codes), np.asarray(item_codes)
        number = self.folds_.of_cells(users, items)
        out = np.empty(len(users))
        for at, model in enumerate(self.models_):
            cells = number == at
            if cells.any():
                out[cells] = _of_cells(model).predict_codes(users[cells], items[cells])
        return out

    def out_of_fold_block(self, users: slice) -> Floats:
        """Return predictions of a block of users against all items, (b, n_items)."""
        n_items = len(self.log_.item_ids)
        codes = np.arange(len(self.log_.user_ids))[users]
        number = self.folds_.of_cells(
            np.repeat(codes, n_items), np.tile(np.arange(n_items), len(codes))
        ).reshape(len(codes), n_items)
        out = np.empty((len(codes), n_items))
        for at, model in enumerate(self.models_):
            cells = number == at
            if cells.any():
                out[cells] = _of_cells(model).block(users)[cells]
        return out

    def out_of_fold_factors(self) -> tuple[Floats, Floats]:
        """Return (A, B) with A_u . B_i the out-of-fold prediction of every cell.

        The factors of the models stand side by side, zero where a user or an item is not of the
        model's block: exact, with (folds x k) columns.
        """
        lefts, rights = [], []
        folds = self.folds_
        for at, model in enumerate(self.models_):
            if not isinstance(model, CellOutcomeModel):
                raise DataError("Only cell outcome models have factors.")
            A, B = model.factors()
            k, j = divmod(at, folds.n_item_folds)
            lefts.append(np.where((folds.user_fold == k)[:, None], A, 0.0))
            inside = np.ones(len(B), bool) if folds.item_fold is None else folds.item_fold == j
            rights.append(np.where(inside[:, None], B, 0.0))
        return np.hstack(lefts), np.hstack(rights)

    def as_propensity(self, *, predictions: Predictions) -> Propensity:
        """Return cross-fitted propensities as one object that goes through the chain.

        Parameters
        ----------
        predictions : {"out_of_fold", "in_sample"}
            Compulsory. "out_of_fold": each cell by the model that has not seen it, for inference.
            "in_sample": one model fitted on the whole log, for training.
        """
        models = [model for model in self.models_ if isinstance(model, PropensityModel)]
        if len(models) < len(self.models_):
            raise DataError("Only cross-fitted propensity models are propensities.")
        if predictions == "out_of_fold":
            return _OutOfFold(self, models)
        if predictions == "in_sample":
            return models[0].clone().fit(self.log_, self.graph_)
        raise StudyError(f"predictions must be 'out_of_fold' or 'in_sample', not {predictions!r}.")

    graph_: CausalGraph | None = None


def _of_cells(model: Any) -> Any:
    if not hasattr(model, "predict_codes"):
        raise DataError("This model predicts rows, not cells: use out_of_fold_rows.")
    return model


class _OutOfFold(Propensity):
    """The out-of-fold predictions of cross-fitted propensity models."""

    def __init__(self, fitted: CrossFitted[Any], models: Sequence[PropensityModel]) -> None:
        self._fitted = fitted
        first = models[0]
        self.of_, self.sampling_rate_ = first.of_, first.sampling_rate_
        self.covariates_ = first.covariates_
        self.user_ids_, self.item_ids_ = first.user_ids_, first.item_ids_
        self.share_clipped_ = float(np.mean([model.share_clipped_ for model in models]))
        kind = "users" if fitted.folds_.item_fold is None else "blocks of users x items"
        note = f"Cross-fitted over {len(models)} folds of {kind}; these are out of fold."
        self.notes_ = (note, *first.notes_)

    def predict_codes(self, user_codes: NDArray[Any], item_codes: NDArray[Any]) -> Floats:
        return self._fitted.out_of_fold_codes(user_codes, item_codes)

    def block(self, users: slice) -> Floats:
        return self._fitted.out_of_fold_block(users)

    def for_rows(self, log: InteractionLog) -> Floats:
        return self._fitted.out_of_fold_rows(log)


def cross_fit(
    model: Model,
    log: InteractionLog,
    folds: Folds,
    graph: CausalGraph | None = None,
    **options: Any,
) -> CrossFitted[Model]:
    """Fit a clone of a nuisance model for each fold, on the users and items outside it.

    Parameters
    ----------
    model : PropensityModel, ArmOutcomeModel, CellOutcomeModel
        Unfitted, or fitted: its parameters are taken; its fit is at most where a search starts.
        Effects of users (and, with
        item folds, of items) cannot be learned for those held out and are zero there; rules about
        never-observed profiles come from the whole log.
    log : InteractionLog
    folds : Folds
        From `folds_by_user` or `folds_by_block`.
    graph : CausalGraph, optional
    **options
        Passed to `fit` (`weights=`).

    Returns
    -------
    CrossFitted

    Examples
    --------
    >>> import causalrec as cr
    >>> from causalrec.nuisances import PropensityModel
    >>> world = cr.simulate("shop", n_users=100, n_items=30, random_state=0)
    >>> fitted = cross_fit(PropensityModel(), world.log, folds_by_user(world.log, 2), world.graph)
    >>> fitted.out_of_fold_rows().shape == (world.log.n_rows,)
    True
    """
    together: Any = getattr(model, "fit_folds", None)
    models = None if together is None else together(log, folds, graph, **options)
    if models is None:
        models = [
            model.clone().fit(log, graph, users=users, items=items, **options)
            for users, items in folds
        ]
    found: CrossFitted[Model] = CrossFitted(models, folds, log)
    found.graph_ = graph
    return found
