"""EconML's nuisances, used in place: what was estimated for an effect goes on through the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.errors import DataError
from causalrec.nuisances._known import KnownPropensity

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog


def propensity_from_econml(estimator: Any, log: InteractionLog) -> KnownPropensity:
    """Return the out-of-fold propensities of a fitted EconML DR learner, one a row.

    Parameters
    ----------
    estimator : econml.dr.DRLearner, LinearDRLearner, ...
        Fitted with `cache_values=True` on the rows of `log`, in their order, with the exposure
        as a binary treatment.
    log : InteractionLog
        Candidates.

    Returns
    -------
    KnownPropensity
        Of exposure, before EconML's silent clipping (its note counts what was clipped).

    Raises
    ------
    DataError
        If the estimator kept no nuisances, has several treatments or another number of rows.

    Notes
    -----
    EconML keeps them in `_cached_values.nuisances`, which is private: a test holds them against
    our own cross-fitted propensities on the same folds.
    """
    log.require("candidates", purpose="propensities of exposure from EconML")
    cached = getattr(estimator, "_cached_values", None)
    if cached is None:
        raise DataError(
            f"This {type(estimator).__name__} kept no nuisances: fit it with cache_values=True."
        )
    nuisances = cached.nuisances
    raw = np.asarray(nuisances[-1], dtype=np.float64)
    clipped = np.asarray(nuisances[1], dtype=np.float64)
    if raw.ndim != 2 or raw.shape != clipped.shape or raw.shape[1] != 2:
        raise DataError(
            f"The nuisances of this {type(estimator).__name__} are not propensities of one binary"
            " exposure. DR learners with a 0/1 treatment have them."
        )
    if len(raw) != log.n_rows:
        raise DataError(
            f"The estimator was fitted on {len(raw):,} rows, but the log has {log.n_rows:,}. Pass"
            " the log that it was fitted on."
        )
    changed = int((raw[:, 1] != clipped[:, 1]).sum())
    note = (
        f"The propensities are the out-of-fold ones of EconML's {type(estimator).__name__};"
        f" it clipped {changed:,} of {len(raw):,}, here they are as estimated."
    )
    return KnownPropensity(raw[:, 1], "exposure", note=note, log=log)
