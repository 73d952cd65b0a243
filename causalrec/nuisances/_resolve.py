"""The only way upper rooms touch propensities: resolved once, then by rows, cells or blocks."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from causalrec.errors import DataError, OverlapWarning, StudyError
from causalrec.nuisances._base import Floats, Propensity, sampling_rate, subject_of
from causalrec.nuisances._known import CellValues, KnownPropensity

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog


def resolve_propensity(
    propensity: Propensity | ArrayLike | str | None,
    log: InteractionLog,
    graph: CausalGraph | None = None,
) -> Propensity:
    """Turn what a user passed as `propensity=` into a propensity for this log.

    Parameters
    ----------
    propensity : Propensity, array, str, float or None
        A fitted model or known propensities, as they are; an array (a value a cell or a row), a
        column's name or a constant; None: those logged with the log, else a model is fitted here,
        by a method chosen by size (its `notes_` say so).
    log : InteractionLog
    graph : CausalGraph, optional
        Decides the covariates where a model is fitted here.

    Returns
    -------
    Propensity

    Raises
    ------
    DataError
        If it speaks of exposure on a rating log, or of observation elsewhere.
    NotFittedError
        If a model was passed before `fit`.
    """
    of = subject_of(log)
    if propensity is None:
        if log.logging_propensity is not None:
            return KnownPropensity(
                log.columns.logging_propensity or np.asarray(log.logging_propensity),
                of,
                note="The propensities are those logged by the policy.",
            )
        from causalrec.nuisances._model import PropensityModel

        model = PropensityModel().fit(log, graph)
        kind = {"logistic": "logistic", "cloglog": "complementary log-log"}.get(
            model.method_, model.method_
        )
        model.notes_ = (f"No propensity was given: a {kind} one was fitted.", *model.notes_)
        return model
    if not isinstance(propensity, Propensity):
        return KnownPropensity(propensity, of, log=log)
    if isinstance(propensity, KnownPropensity):
        propensity = propensity.speaking_of(of)
    if not hasattr(propensity, "of_"):
        from causalrec import errors

        raise errors.NotFittedError.of(propensity)
    if propensity.of_ != of:
        raise DataError(
            f"This propensity is the probability of {propensity.of_!r}, but a {log.kind} log asks"
            f" for that of {of!r}. In a rating log the user chose to rate; being shown is"
            " something else. Fit one on this log, or declare it:"
            f" KnownPropensity(values, of={of!r})."
        )
    return propensity


def refuse_outcome_model(propensity: Propensity, estimator: str) -> None:
    """Refuse to put an outcome model beside a propensity that depends on the outcome.

    Where the outcome decides its own recording, a model learned from the recorded cells is not
    that of the others, and double robustness, which is claimed under missingness at random, has
    nothing to stand on.

    Raises
    ------
    StudyError
    """
    if propensity.depends_on_outcome:
        raise StudyError(
            f"estimator={estimator!r} learns an outcome model from the recorded cells, but this"
            " propensity depends on the outcome: there the recorded cells do not speak for the"
            " others. Weights alone are right: use 'snips' (or 'ips')."
        )


def row_propensity(propensity: Propensity, log: InteractionLog) -> Floats:
    """Return the propensity of each row of a log, rescaled for its part of a split.

    Parameters
    ----------
    propensity : Propensity
    log : InteractionLog

    Returns
    -------
    float64 (n_rows,)
        At most 1; if rescaling pushed some above, an `OverlapWarning` counts them.

    Raises
    ------
    DataError
        If something that was observed (or exposed) has a propensity of zero.
    """
    p = _rescaled(propensity.for_rows(log), propensity, log, count=True)
    exposed = np.ones(log.n_rows, dtype=bool) if log.exposure is None else log.exposure == 1
    _refuse_impossible(p, exposed, log.user_codes, log.item_codes, log)
    return p


def cell_propensity(
    propensity: Propensity,
    log: InteractionLog,
    user_codes: NDArray[Any],
    item_codes: NDArray[Any],
) -> Floats:
    """Return the propensity of aligned cells, by the codes of `log`, rescaled for its part.

    Where the propensity is given by row, the cells must be rows of the log; several rows of one
    cell are averaged.

    Returns
    -------
    float64 (n_cells,)
    """
    users, items = np.asarray(user_codes), np.asarray(item_codes)
    if isinstance(propensity, KnownPropensity) and propensity.by_row and not propensity.bound:
        by_row = CellValues.of(log, propensity.for_rows(log)).at(users, items)
        return _rescaled(by_row, propensity, log, count=True)
    if isinstance(propensity, KnownPropensity):
        propensity.check_grid(log)
    return _rescaled(propensity.of_cells(log, users, items), propensity, log, count=True)


def grid_propensity(propensity: Propensity, log: InteractionLog, users: slice) -> Floats:
    """Return the propensity of a block of users against all items, rescaled for the log's part.

    Returns
    -------
    float64 (b, n_items)
        At most 1. Blocks do not warn one by one: `diagnostics` counts.
    """
    if isinstance(propensity, KnownPropensity):
        propensity.check_grid(log)
        if propensity.values_ is not None and propensity.values_.ndim == 0:
            shape = (len(range(*users.indices(log.n_users))), log.n_items)
            constant = np.full(shape, propensity.predict_codes(np.zeros(1), np.zeros(1))[0])
            return _rescaled(constant, propensity, log, count=False)
    same_codes = all(codes is None for codes in propensity.aligned(log))
    if same_codes and not propensity.depends_on_outcome:
        return _rescaled(propensity.block(users), propensity, log, count=False)
    mine = np.arange(log.n_users)[users]
    rows, columns = np.repeat(mine, log.n_items), np.tile(np.arange(log.n_items), len(mine))
    p = propensity.of_cells(log, rows, columns).reshape(len(mine), log.n_items)
    return _rescaled(p, propensity, log, count=False)


def _rescaled(p: Floats, propensity: Propensity, log: InteractionLog, *, count: bool) -> Floats:
    factor = sampling_rate(log) / propensity.sampling_rate_
    if factor == 1.0:
        return p
    scaled = p * factor
    above = int((scaled > 1.0).sum()) if factor > 1.0 else 0
    if above and count:
        warnings.warn(
            f"{above:,} of {scaled.size:,} propensities exceed 1 after rescaling from a part that"
            f" holds {propensity.sampling_rate_:.2g} of the observed cells to one that holds"
            f" {sampling_rate(log):.2g}; they were set to 1.",
            OverlapWarning,
            stacklevel=3,
        )
    return np.minimum(scaled, 1.0)


def _refuse_impossible(
    p: Floats,
    happened: NDArray[np.bool_],
    users: NDArray[Any],
    items: NDArray[Any],
    log: InteractionLog,
) -> None:
    wrong = np.flatnonzero(happened & (p <= 0.0))
    if len(wrong):
        raise DataError.bad_rows(
            "propensity",
            "is zero for what did happen",
            count=len(wrong),
            total=int(happened.sum()),
            rows=[
                f"user {log.user_ids[users[at]]!r}, item {log.item_ids[items[at]]!r}"
                for at in wrong[:5]
            ],
            way_out="What was observed (or exposed) had a positive probability: correct the"
            " propensities.",
        )
