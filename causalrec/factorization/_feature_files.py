"""Features in a model file: how tables and arrays were read, and what was learned from them.

An encoder that is a function is not written: a model that is loaded asks for the array of a new
item, which an encoder of the same version makes outside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from causalrec.factorization._feature_prior import SidePrior
from causalrec.factorization._features import FeaturePrior
from causalrec.factorization._side_features import ArrayCode, PriorScale, SideFeatures
from causalrec.factorization._state import FeatureState, PriorSide, PriorState, State

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays = dict[str, "NDArray[Any]"]
Sides = tuple[SideFeatures, SideFeatures]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Code(_Strict):
    """How one feature column becomes numbers."""

    column: str
    mean: float
    spread: float
    levels: tuple[str, ...]


class FeatureSide(_Strict):
    """How one side's features become numbers, and the numbers of its prior."""

    side: Literal["user", "item"]
    id_column: str
    columns: tuple[Code, ...]
    from_frame: tuple[str, ...]
    has_array: bool
    prior_scale: float | None = None
    prior_shift: float | None = None
    imputation_shift: float | None = None


# -------------------------------------------------------------------------- writing


def feature_sides(state: State) -> tuple[FeatureSide, FeatureSide] | None:
    """Return what the manifest says of the features of a model."""
    if state.features is not None:
        return _side(state.features.user_side), _side(state.features.item_side)
    if state.prior is not None:
        return _prior_side(state.prior.user), _prior_side(state.prior.item)
    return None


def _side(features: SideFeatures, **prior: float | None) -> FeatureSide:
    return FeatureSide(
        side=features.side,
        id_column=features.id_column,
        columns=tuple(
            Code(column=c.column, mean=c.mean, spread=c.spread, levels=c.levels)
            for c in features.encoder.codes
        ),
        from_frame=features.from_frame,
        has_array=features.array is not None,
        **prior,
    )


def _prior_side(one: PriorSide) -> FeatureSide:
    return _side(
        one.features,
        prior_scale=one.scale.scale,
        prior_shift=one.prior.shift,
        imputation_shift=None if one.imputation is None else one.imputation.shift,
    )


def feature_arrays(state: State) -> Arrays:
    """Return the arrays that hold the features of a model, by name."""
    arrays: Arrays = {}
    if state.features is not None:
        prior = state.features.prior
        arrays |= {"features.left": state.features.left, "features.right": state.features.right}
        arrays |= {"prior.user": prior.user, "prior.item": prior.item}
        arrays["prior.crosses"] = prior.crosses
        _add_code(arrays, state.features.user_side)
        _add_code(arrays, state.features.item_side)
    if state.prior is not None:
        for one in (state.prior.user, state.prior.item):
            name = f"factor_prior.{one.features.side}"
            arrays[f"{name}.centre"] = one.scale.centre
            arrays[f"{name}.weights"] = one.prior.weights
            arrays[f"{name}.rows"] = one.rows
            arrays[f"{name}.warm"] = one.warm
            if one.imputation is not None:
                arrays[f"{name}.imputation"] = one.imputation.weights
            _add_code(arrays, one.features)
    return arrays


def _add_code(arrays: Arrays, features: SideFeatures) -> None:
    if features.array is not None:
        arrays[f"{features.side}_array.centre"] = features.array.centre
        arrays[f"{features.side}_array.components"] = features.array.components


# -------------------------------------------------------------------------- reading


def sides_of(read: tuple[FeatureSide, FeatureSide], arrays: Arrays) -> Sides:
    """Return how both sides' features become numbers."""
    user, item = (_features(one, arrays) for one in read)
    if (user.side, item.side) != ("user", "item"):
        raise ValueError("features of users come first, then those of items")
    return user, item


def _features(read: FeatureSide, arrays: Arrays) -> SideFeatures:
    from causalrec.nuisances import ColumnCode, Encoder

    codes = tuple(ColumnCode(**code.model_dump()) for code in read.columns)
    array = None
    if read.has_array:
        name = f"{read.side}_array"
        array = ArrayCode(arrays[f"{name}.centre"], arrays[f"{name}.components"])
        if array.components.ndim != 2 or array.centre.shape != array.components.shape[:1]:
            raise ValueError(f"the array of {read.side} features has no such shape")
    encoder = Encoder(codes, f"{read.side}s")
    return SideFeatures(
        read.side, read.id_column, encoder, array, from_frame=tuple(read.from_frame)
    )


def features_from(sides: Sides, intercept: float, arrays: Arrays) -> FeatureState:
    """Return the regression on features."""
    coefficients = arrays["prior.user"], arrays["prior.item"], arrays["prior.crosses"]
    prior = FeaturePrior(intercept, *coefficients)
    return FeatureState(prior, *sides, arrays["features.left"], arrays["features.right"])


def prior_from(sides: Sides, read: tuple[FeatureSide, FeatureSide], arrays: Arrays) -> PriorState:
    """Return the prior on the factors of both sides."""
    found = []
    for features, one in zip(sides, read, strict=True):
        if one.prior_scale is None or one.prior_shift is None:
            raise ValueError(f"the prior of the {one.side}s has no scale")
        name = f"factor_prior.{one.side}"
        imputation = None
        if one.imputation_shift is not None:
            imputation = SidePrior(arrays[f"{name}.imputation"], one.imputation_shift)
        scale = PriorScale(arrays[f"{name}.centre"], one.prior_scale)
        prior = SidePrior(arrays[f"{name}.weights"], one.prior_shift)
        rows, warm = arrays[f"{name}.rows"], arrays[f"{name}.warm"]
        found.append(PriorSide(features, scale, prior, imputation, rows, warm))
    return PriorState(*found)


def check_feature_shapes(state: State) -> list[bool]:
    """Say of each array of features whether it has the shape that the model asks for."""
    m, n = len(state.user_ids), len(state.item_ids)
    fits: list[bool] = []
    if state.features is not None:
        prior, features = state.features.prior, state.features
        p, q = features.user_side.n_columns, features.item_side.n_columns
        fits.append(are_sides(features.left, features.right, m, n))
        fits += [prior.user.shape == (p,), prior.item.shape == (q,), prior.crosses.shape == (p, q)]
    if state.prior is not None:
        for one, size in ((state.prior.user, m), (state.prior.item, n)):
            width = one.features.n_columns
            seen = width + 1 if width else 0
            fits += [one.scale.centre.shape == (width,), one.rows.shape == (size, seen)]
            fits.append(one.prior.weights.shape == (state.factors.n_factors + 1, seen))
            fits += [one.scale.scale > 0, one.warm.shape == (size,)]
            if one.imputation is not None:
                k = -1 if state.imputation is None else state.imputation.n_factors
                fits.append(one.imputation.weights.shape == (k + 1, seen))
    return fits


def are_sides(left: NDArray[Any], right: NDArray[Any], m: int, n: int) -> bool:
    """Say whether left right' is an m x n matrix."""
    two = left.ndim == right.ndim == 2
    return two and left.shape[0] == m and right.shape == (n, left.shape[1])
