"""Which of a user's ratings carry a prediction: exact, with the items held fixed.

With the items fixed a user is one ridge regression, so that a prediction is a prior part plus one
term for each rating, and deleting a rating is a rank-one update. For the estimators over the
whole grid the user's imputation is a second regression that the score is made of; everything
stays linear in the ratings, and the update goes through both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError
from causalrec.factorization._common import SMALLEST_RIDGE, Factors
from causalrec.factorization._fold_in import units
from causalrec.factorization._recipe import (
    Recipe,
    correction_weights,
    imputation_weighting,
    raw_weights,
)
from causalrec.factorization._state import State
from causalrec.threads import one_blas_thread

if TYPE_CHECKING:
    import pandas as pd

_Array = NDArray[np.float64]
LISTED = 5


@dataclass(frozen=True)
class Explanation:
    """Why a model predicts what it does for a user and an item, items held fixed.

    Attributes
    ----------
    user, item : id
    score : float
        The prediction with the user's factors solved for the items as they are: the sum of
        `parts["value"]`.
    predicted : float
        What `predict` says (uncut). It differs from `score` by what the items moved in the last
        sweep after the users were solved: nothing, once the fit has converged.
    parts : pandas.DataFrame
        Columns part, value: overall mean, features (of the regression), item (its bias: how it is
        liked by everybody), user level (how high this user rates), taste (U . V). They add up.
    ratings : pandas.DataFrame
        One row a rating of the user, by |contribution|: item_id, outcome, weight, contribution
        (= level + taste; with `without_ratings` they add up to user level + taste), level, taste,
        leverage h, and change_if_deleted: the exact change of the score if this rating alone had
        not been given. Deletions do not add up.
    without_ratings : float
        User level and taste of a user with these features and no rating.
    """

    user: Any
    item: Any
    score: float
    predicted: float
    parts: pd.DataFrame
    ratings: pd.DataFrame
    without_ratings: float

    def to_frame(self) -> pd.DataFrame:
        """Return `ratings`."""
        return self.ratings

    def summary(self) -> str:
        """Return the explanation in words."""
        parts = dict(zip(self.parts["part"], self.parts["value"], strict=True))
        said = ", ".join(f"{name} {value:+.3f}" for name, value in parts.items())
        lines = [
            f"User {self.user!r}, item {self.item!r}: {self.score:.3f} = {said}.",
            f"Items held fixed; {len(self.ratings):,} ratings of the user. Those that carry most:",
        ]
        lines += [
            f"  item {row['item_id']!r}, rated {row['outcome']:g}: contributes"
            f" {row['contribution']:+.4f}; without it the prediction changes by"
            f" {row['change_if_deleted']:+.4f}."
            for row in self.ratings.head(LISTED).to_dict("records")
        ]
        if self.ratings.empty:
            lines[1] = "The user has no rating: this is what features and averages say."
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.summary()


class _Answer(Protocol):
    """A user's prediction as a function of the ratings, for one ridge."""

    def level_of(self, direction: _Array) -> float: ...
    def constant(self, direction: _Array) -> float: ...
    def contributions(self, direction: _Array) -> _Array: ...
    def leverages(self) -> _Array: ...
    def deletions(self, direction: _Array) -> _Array: ...


def _inverse(gram: _Array) -> _Array:
    """Return the inverse of a positive definite matrix."""
    from scipy import linalg

    return np.asarray(linalg.cho_solve(linalg.cho_factor(gram), np.eye(len(gram))))


@dataclass(frozen=True)
class _Ridge:
    """One user's weighted ridge regression around a prior mean.

    Attributes
    ----------
    design, weights, targets : arrays (n, d), (n,), (n,)
    pull : float64 array, shape (d,)
        Ridge times prior mean.
    inverse : float64 array, shape (d, d)
    """

    design: _Array
    weights: _Array
    targets: _Array
    pull: _Array
    inverse: _Array

    @classmethod
    def of(
        cls, design: _Array, weights: _Array, targets: _Array, ridge: float, mean: _Array
    ) -> _Ridge:
        gram = design.T @ (design * weights[:, None])
        gram[np.diag_indices_from(gram)] += ridge
        return cls(design, weights, targets, ridge * mean, _inverse(gram))

    @property
    def solution(self) -> _Array:
        aim = self.design.T @ (self.weights * self.targets) + self.pull
        return np.asarray(self.inverse @ aim)

    def level_of(self, direction: _Array) -> float:
        return float(direction @ self.solution)

    def constant(self, direction: _Array) -> float:
        return float(direction @ self.inverse @ self.pull)

    def contributions(self, direction: _Array) -> _Array:
        return np.asarray(self.weights * self.targets * (self.design @ (self.inverse @ direction)))

    def leverages(self) -> _Array:
        return np.asarray(
            self.weights * np.einsum("ij,jk,ik->i", self.design, self.inverse, self.design)
        )

    def scale_of_deletion(self) -> _Array:
        """Return w_k (r_k - v_k . U) / (1 - h_k): the step along -B^-1 v_k."""
        residual = self.targets - self.design @ self.solution
        return np.asarray(self.weights * residual / (1.0 - self.leverages()))

    def deletions(self, direction: _Array) -> _Array:
        return -(self.design @ (self.inverse @ direction)) * self.scale_of_deletion()


@dataclass(frozen=True)
class _OverAllCells:
    """One user's regression on the score of every item, whose imputation is a regression too.

    Attributes
    ----------
    imputed : _Ridge
    inverse : float64 array, shape (d, d)
        (Z'Z + l I)^-1 over all items.
    cross : float64 array, shape (d, d_g)
        Z' Z_g, what the imputation's factors add to the right side.
    rated, corrections : arrays (n, d), (n,)
        Z of the rated items, and the weights of the corrections, 1 / p for dr.
    pull : float64 array, shape (d,)
        What stands in the right side without any rating.
    """

    imputed: _Ridge
    inverse: _Array
    cross: _Array
    rated: _Array
    corrections: _Array
    pull: _Array

    def _reach(self, direction: _Array) -> tuple[_Array, _Array]:
        """Return how the answer moves with each correction, and with the imputation's factors."""
        a = self.inverse @ direction
        by_rating = self.corrections * (self.rated @ a)
        return by_rating, self.cross.T @ a - self.imputed.design.T @ by_rating

    def level_of(self, direction: _Array) -> float:
        return self.constant(direction) + float(self.contributions(direction).sum())

    def constant(self, direction: _Array) -> float:
        _, through = self._reach(direction)
        return float(direction @ self.inverse @ self.pull) + self.imputed.constant(through)

    def contributions(self, direction: _Array) -> _Array:
        by_rating, through = self._reach(direction)
        return self.imputed.contributions(through) + by_rating * self.imputed.targets

    def leverages(self) -> _Array:
        return self.imputed.leverages()

    def deletions(self, direction: _Array) -> _Array:
        by_rating, through = self._reach(direction)
        design, one = self.imputed.design, self.imputed
        step = one.scale_of_deletion()
        own = np.einsum("ij,jk,ik->i", design, one.inverse, design)
        left = design @ one.solution - own * step
        moved = one.deletions(through)
        return np.asarray(moved + by_rating * (left - one.targets))


def explain(state: State, recipe: Recipe, user: int, item: int) -> Explanation:
    """Explain one prediction; see `DebiasedMF.explain`."""
    import pandas as pd

    if state.events is None:
        raise DataError(
            "The model was saved without the events it learned from (events=False), so it cannot"
            " say what they contribute: explain with the model before saving, or save them."
        )
    part = slice(state.seen_pointer[user], state.seen_pointer[user + 1])
    items = state.seen_items[part]
    with one_blas_thread():
        here = _answer(state, recipe, user, len(items))
        after = here
        if recipe.regularization_form == "count":
            after = _answer(state, recipe, user, len(items) - 1)
        taste = _directions(state.factors, item)
        level, whole = np.zeros_like(taste), taste.copy()
        level[-1] = whole[-1] = 1.0
        parts = _parts(state, user, item, here.level_of(level), here.level_of(taste))
        moved = after.level_of(whole) - here.level_of(whole) + after.deletions(whole)
        if len(items) == 1 and state.prior is not None:
            side = state.prior.user
            cold = side.prior.cold(side.rows[user : user + 1])[0]
            moved = np.array([whole @ cold - here.level_of(whole)])
        of_level, of_taste = here.contributions(level), here.contributions(taste)
        ratings = pd.DataFrame(
            {
                "item_id": state.item_ids[items],
                "outcome": state.events.outcome[part],
                "weight": _weights(state, recipe, part),
                "contribution": of_level + of_taste,
                "level": of_level,
                "taste": of_taste,
                "leverage": here.leverages(),
                "change_if_deleted": moved,
            }
        )
        order = np.argsort(-np.abs(ratings["contribution"].to_numpy()), kind="stable")
        left, right = state.low_rank
        return Explanation(
            user=state.user_ids[[user]].tolist()[0],
            item=state.item_ids[[item]].tolist()[0],
            score=float(parts["value"].sum()),
            predicted=float(left[user] @ right[item]),
            parts=parts,
            ratings=ratings.iloc[order].reset_index(drop=True),
            without_ratings=here.constant(whole),
        )


def _directions(factors: Factors, item: int) -> _Array:
    return np.concatenate([factors.item_factors[item].astype(np.float64), [0.0]])


def _parts(state: State, user: int, item: int, level: float, taste: float) -> pd.DataFrame:
    import pandas as pd

    factors = state.factors
    values = {"overall mean": factors.intercept, "item": float(factors.item_biases[item])}
    values |= {"user level": level, "taste": taste}
    if state.features is not None:
        values["features"] = float(state.features.left[user] @ state.features.right[item])
    return pd.DataFrame({"part": list(values), "value": list(values.values())})


def _answer(state: State, recipe: Recipe, user: int, count: int) -> _Answer:
    """Return a user's regression, with the ridge of a user who has `count` ratings."""
    part = slice(state.seen_pointer[user], state.seen_pointer[user + 1])
    items = state.seen_items[part]
    assert state.events is not None  # asked before
    targets = state.events.outcome[part].astype(np.float64)
    if state.features is not None:
        targets = targets - state.features.right[items] @ state.features.left[user]
    ridge = max(recipe.regularization, SMALLEST_RIDGE)
    if recipe.regularization_form == "count":
        ridge *= max(count, 1) / state.scales.mean_count
    weights = _weights(state, recipe, part)
    if state.imputation is None:
        mean = _prior_mean(state, user, state.factors, imputation=False)
        return _regression(state.factors, items, targets, weights, ridge, mean)
    mean = _prior_mean(state, user, state.imputation, imputation=True)
    imputed = _regression(state.imputation, items, targets, weights, ridge, mean)
    if recipe.fixed_imputation:
        imputed = replace(imputed, weights=np.zeros_like(weights))
    ridge *= state.scales.cells_per_observed
    return _over_all_cells(state, recipe, user, part, imputed, ridge)


def _over_all_cells(
    state: State, recipe: Recipe, user: int, part: slice, imputed: _Ridge, ridge: float
) -> _OverAllCells:
    assert state.events is not None  # asked before
    assert state.imputation is not None
    factors, imputation = state.factors, state.imputation
    every, behind = _design(factors), _design(imputation)
    off = imputation.intercept + imputation.item_biases - factors.intercept - factors.item_biases
    design = every
    if state.prior is not None:
        warm = state.prior.item.warm
        design, behind, off = every[warm], behind[warm], off[warm]
    gram = design.T @ design
    gram[np.diag_indices_from(gram)] += ridge
    pull = design.T @ off.astype(np.float64)
    pull += ridge * _prior_mean(state, user, factors, imputation=False)
    return _OverAllCells(
        imputed,
        _inverse(gram),
        design.T @ behind,
        every[state.seen_items[part]],
        correction_weights(
            recipe.estimator, state.events.propensity[part], state.scales.correction
        ),
        pull,
    )


def _regression(
    factors: Factors, items: Any, targets: _Array, weights: _Array, ridge: float, mean: _Array
) -> _Ridge:
    design = _design(factors)[items]
    aims = targets - factors.intercept - factors.item_biases[items]
    return _Ridge.of(design, weights, aims, ridge, mean)


def _design(factors: Factors) -> _Array:
    return factors.item_design().astype(np.float64)


def _prior_mean(state: State, user: int, factors: Factors, *, imputation: bool) -> _Array:
    side = None if state.prior is None else state.prior.user
    prior = None if side is None else side.imputation if imputation else side.prior
    if side is None or prior is None:
        return np.zeros(factors.n_factors + 1)
    return np.asarray(prior.means(side.rows[user : user + 1])[0])


def _weights(state: State, recipe: Recipe, part: slice) -> _Array:
    """Return what the user's ratings weigh where they enter: the fit, or its imputation."""
    assert state.events is not None  # asked before
    p = state.events.propensity[part]
    if state.imputation is None:
        return units(raw_weights(recipe.estimator, p), state.scales.weight)
    return units(raw_weights(imputation_weighting(recipe), p), state.scales.imputation_weight)
