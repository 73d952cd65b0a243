"""What a fitted model holds: ids, factors, what was seen, and what folding in needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError, near_miss
from causalrec.factorization._common import Factors, Floats, Integers
from causalrec.factorization._eligible_items import EligibleItems
from causalrec.factorization._feature_prior import SidePrior
from causalrec.factorization._features import FeaturePrior
from causalrec.factorization._side_features import PriorScale, SideFeatures
from causalrec.threads import one_blas_thread

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FeatureState:
    """The feature regression and how it reads a table.

    Attributes
    ----------
    prior : FeaturePrior
    user_side, item_side : SideFeatures
    left, right : float64 array, shapes (n_users, r), (n_items, r)
        The regression's prediction on every cell, as left right'.
    """

    prior: FeaturePrior
    user_side: SideFeatures
    item_side: SideFeatures
    left: NDArray[np.float64]
    right: NDArray[np.float64]


@dataclass(frozen=True)
class PriorSide:
    """One side's prior on its factors and how it reads a table.

    Attributes
    ----------
    features : SideFeatures
    scale : PriorScale
    prior : SidePrior
    imputation : SidePrior or None
        The prior of the imputation's factors.
    rows : float64 array, shape (n, d)
        The features of the fitted users or items, as the prior sees them.
    warm : bool array, shape (n,)
        Which of them had cells in the fit.
    """

    features: SideFeatures
    scale: PriorScale
    prior: SidePrior
    imputation: SidePrior | None
    rows: NDArray[np.float64]
    warm: NDArray[np.bool_]

    def read(self, table: pd.DataFrame, given: Any = None) -> NDArray[np.float64]:
        """Return the features of a table's rows, as the prior sees them."""
        return self.scale.apply(self.features.matrix(table, given))


@dataclass(frozen=True)
class PriorState:
    """Features as a prior on the factors of both sides."""

    user: PriorSide
    item: PriorSide


@dataclass(frozen=True)
class Scales:
    """The units of the fit, which folding in must repeat.

    Attributes
    ----------
    weight, imputation_weight : float
        Mean of the raw weights of the weighted stage and of the imputation's.
    cells_per_observed : float
        Cells of the grid over observed cells.
    mean_count : float
        Observed cells of a user, on average (at least one counted each).
    correction : float
        What stable_dr's weights 1 / p are multiplied by in the score.
    """

    weight: float
    imputation_weight: float
    cells_per_observed: float
    mean_count: float
    correction: float = 1.0


@dataclass(frozen=True)
class Events:
    """What the model learned from, aligned with `State.seen_items`.

    Attributes
    ----------
    outcome, propensity : float64 array, shape (n,)
    """

    outcome: NDArray[np.float64]
    propensity: NDArray[np.float64]


@dataclass(frozen=True)
class State:
    """A fitted model without its options.

    Attributes
    ----------
    user_ids, item_ids : pandas.Index
    factors : Factors
    imputation : Factors or None
    features : FeatureState or None
        The regression on features, where that was asked for.
    seen_pointer : int64 array, shape (n_users + 1,)
    seen_items : int32 array
        Items with an outcome, by user.
    scales : Scales
    outcome_range : (float, float)
    prior : PriorState or None
        The features as a prior on the factors, where that was asked for.
    events : Events or None
        None where a model was saved without them.
    eligible : EligibleItems or None
        None where the log declared every cell eligible.
    """

    user_ids: pd.Index
    item_ids: pd.Index
    factors: Factors
    imputation: Factors | None
    features: FeatureState | None
    seen_pointer: Integers
    seen_items: Integers
    scales: Scales
    outcome_range: tuple[float, float]
    prior: PriorState | None = None
    events: Events | None = None
    eligible: EligibleItems | None = None

    @cached_property
    def low_rank(self) -> tuple[Floats, Floats]:
        """(A, B) with f = A B': factors, biases and features in one."""
        left, right = self.factors.low_rank()
        if self.features is None:
            return left, right
        dtype = left.dtype
        return (
            np.hstack([left, self.features.left.astype(dtype)]),
            np.hstack([right, self.features.right.astype(dtype)]),
        )

    def block(self, users: slice | Integers) -> Floats:
        """Return f of some users and every item, shape (b, n_items)."""
        left, right = self.low_rank
        with one_blas_thread(scipy=False):
            return np.asarray(left[users] @ right.T)

    def may_not_list(
        self, users: Integers, *, seen: bool, eligible: bool
    ) -> NDArray[np.bool_] | tuple[Integers, Integers] | None:
        """Return the cells that may not be listed, as an index into the users' block.

        Parameters
        ----------
        users : int array, shape (b,)
        seen : bool
            Leave out what they have an outcome for.
        eligible : bool
            Leave out what the log declared not eligible.
        """
        if not eligible or self.eligible is None:
            return self.seen_in(users) if seen else None
        out = self.eligible.excluded(users, len(self.item_ids))
        if seen:
            out[self.seen_in(users)] = True
        return out

    def seen_in(self, users: Integers) -> tuple[Integers, Integers]:
        """Return (row, item) of what each of these users has an outcome for."""
        starts = self.seen_pointer[users]
        counts = self.seen_pointer[users + 1] - starts
        rows = np.repeat(np.arange(len(users)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return rows, self.seen_items[np.repeat(starts, counts) + within]


def codes_of(known: pd.Index, ids: Sequence[Any] | pd.Index, entity: str, way_out: str) -> Integers:
    """Return the codes of ids, or an error that names those the model does not know.

    Parameters
    ----------
    known : pandas.Index
    ids : sequence
    entity : {"user", "item"}
    way_out : str
        What the reader can do about an unknown id, as a sentence.
    """
    import pandas as pd

    if isinstance(ids, str | bytes):
        raise DataError(f"{ids!r} is one {entity} id, not a sequence of them: pass [{ids!r}].")
    asked = ids if isinstance(ids, pd.Index) else pd.Index(ids, tupleize_cols=False)
    codes = known.get_indexer(asked)
    unknown = asked[codes < 0]
    if len(unknown):
        shown = ", ".join(repr(one) for one in unknown[:5].tolist())
        hint = _other_type(unknown[0], known) or near_miss(
            str(unknown[0]), map(str, known[:10_000])
        )
        raise DataError(
            f"{len(unknown):,} of {len(asked):,} {entity} ids are unknown to the model: {shown}."
            f"{hint} {way_out}"
        )
    return np.asarray(codes)


def _other_type(one: Any, known: pd.Index) -> str:
    """Return a hint where an id is known under another type, 7 as "7", or an empty string."""
    same = next((other for other in known if str(other) == str(one)), None)
    if same is None:
        return ""
    return (
        f" The model knows {same!r}, of type {type(same).__name__}, and not {one!r}, of type"
        f" {type(one).__name__}: ids of different types never match."
    )
