"""Expected exposure of a user's items against what equal relevance would give, user by user.

Diaz, Mitra, Ekstrand, Biega & Carterette (2020): relevant items should share the first places, the
others what is left. With m relevant of n items and V(m) the attention of the first m places, each
relevant item is due a = V(m) / m, each other item b = (V(n) - V(m)) / (n - m). Disparity is
EED = sum e^2, relevance EER = 2 sum e e*, loss EEL = sum (e - e*)^2 = EED - EER + sum e*^2.

How many items are relevant is not seen. All three are functions of m and of sums over relevant
items, so the doubly robust version takes the outcome model's chances and adds the slope of the
function times the weighted residuals: a one-step estimate, right to first order if either model is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from causalrec.evaluation._cells import CellBlock, Coverage
from causalrec.evaluation._law import Gain
from causalrec.evaluation._merit_estimates import Attention
from causalrec.evaluation._merit_question import merit_evaluator
from causalrec.evaluation._recommenders import FloatArray

if TYPE_CHECKING:
    from causalrec.evaluation._evaluator import Evaluator
    from causalrec.interactions import InteractionLog

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Due:
    """What each user's items are due, as a function of how many are relevant.

    Attributes
    ----------
    places : float64 array (k,)
        Attention of each place; what is further down gets none.
    n : float64 array (users,)
        Items of each user.
    """

    places: FloatArray
    n: FloatArray

    def attention(self, m: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return V(m), linear between whole numbers, and its slope."""
        whole = np.r_[0.0, np.cumsum(self.places)]
        at = np.clip(np.floor(m).astype(np.int64), 0, len(self.places))
        slope = np.r_[self.places, 0.0][at]
        return whole[at] + (m - at) * slope, slope

    def of_items(
        self, m: FloatArray
    ) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
        """Return what a relevant item and another one are due, each with its slope in m."""
        (reached, slope), (whole, _) = self.attention(m), self.attention(self.n)
        rest = self.n - m
        some, left = m > 0, rest > 0
        inside, outside = np.where(some, m, 1.0), np.where(left, rest, 1.0)
        a = np.where(some, reached / inside, self.places[0])
        b = np.where(left, (whole - reached) / outside, 0.0)
        return (
            (a, np.where(some, (slope - a) / inside, 0.0)),
            (b, np.where(left, (b - slope) / outside, 0.0)),
        )


def exposure_losses(
    exposure: FloatArray, relevant: FloatArray, sizes: FloatArray, due: Due
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return EER and EEL - EED of parts of each user's items, and their slopes.

    Parameters
    ----------
    exposure, relevant, sizes : float64 arrays (users, parts)
        Attention, relevant items and items of each part: single items, or groups summed first.
    due : Due

    Returns
    -------
    relevance, rest : float64 arrays (users,)
        EER, and EEL - EED.
    slopes : float64 array (2, users, parts)
        Of both, in the relevant items of each part.
    """
    m = relevant.sum(axis=1)
    (a, da), (b, db) = ((x[:, None], dx[:, None]) for x, dx in due.of_items(np.minimum(m, due.n)))
    target = relevant * a + (sizes - relevant) * b
    common = relevant * da + (sizes - relevant) * db  # slope of every part's target in m

    def total(values: FloatArray) -> FloatArray:
        return np.asarray(values.sum(axis=1, keepdims=True))

    relevance = 2.0 * total(exposure * target)
    rest = total(np.square(target)) - relevance
    slope_of_relevance = 2.0 * (exposure * (a - b) + total(exposure * common))
    slope_of_square = 2.0 * (target * (a - b) + total(target * common))
    slopes = np.stack([slope_of_relevance, slope_of_square - slope_of_relevance])
    return relevance[:, 0], rest[:, 0], slopes


@dataclass(frozen=True, eq=False)
class UserExposure:
    """Relevance and loss of expected exposure of each user with a list.

    Attributes
    ----------
    users : int64 array (n,)
    relevance, rest : mapping of estimator to float64 array (n,)
        EER, and EEL - EED, by "naive" (what is not recorded is not relevant) and "dr".
    even_disparity : float64 array (n,)
        EED of the same attention for every item.
    even_rest : mapping of estimator to float64 array (n,)
        EEL - EED of it.
    listed : int
        Recorded cells in the lists.
    """

    users: Codes
    relevance: Mapping[str, FloatArray]
    rest: Mapping[str, FloatArray]
    even_disparity: FloatArray
    even_rest: Mapping[str, FloatArray]
    listed: int


def expected_exposure(
    log: InteractionLog,
    attention: Attention,
    places: FloatArray,
    *,
    part_of_item: Codes | None = None,
    **options: Any,
) -> UserExposure:
    """Return relevance and loss of expected exposure, user by user.

    Parameters
    ----------
    log : InteractionLog
        Ratings or candidates.
    attention : Attention
    places : float64 array (k,)
        Attention of each place of a list.
    part_of_item : int64 array (n_items,), optional
        Group of each item, -1 for none: attention is summed over groups first. Default: items.
    **options
        As in `merit_estimates`.
    """
    evaluator = merit_evaluator(log, **options)
    dense = _Dense(evaluator, attention, part_of_item)
    kept: dict[str, list[npt.NDArray[Any]]] = {"users": [], "even": []}
    listed = 0
    for block in replace(evaluator.source, every_cell=True).blocks(Coverage()):
        users, sums = dense.of(block)
        if not len(users):
            continue
        n = sums["size"].sum(axis=1)
        due = Due(places, n)
        even = sums["size"] * (due.attention(n)[0] / n)[:, None]
        kept["users"].append(users)
        kept["even"].append(np.square(even).sum(axis=1))
        listed += int(sums["listed"].sum())
        for name in dense.estimators:
            expected, residual = sums[f"relevant|{name}"], sums[f"residual|{name}"]
            for given, exposure in (("", sums["exposure"]), ("even ", even)):
                *values, slopes = exposure_losses(exposure, expected, sums["size"], due)
                moved = (slopes * residual[None]).sum(axis=2)
                for quantity, value, step in zip(("eer", "rest"), values, moved, strict=True):
                    kept.setdefault(f"{given}{quantity}|{name}", []).append(value + step)
    joined = {name: np.concatenate(parts) if parts else np.zeros(0) for name, parts in kept.items()}

    def by_estimator(quantity: str) -> dict[str, FloatArray]:
        return {e: joined.get(f"{quantity}|{e}", np.zeros(0)) for e in dense.estimators}

    return UserExposure(
        users=joined["users"].astype(np.int64),
        relevance=by_estimator("eer"),
        rest=by_estimator("rest"),
        even_disparity=joined["even"],
        even_rest=by_estimator("even rest"),
        listed=listed,
    )


@dataclass(frozen=True, eq=False)
class _Dense:
    """Sums over the parts of each user's items."""

    evaluator: Evaluator
    attention: Attention
    part_of_item: Codes | None

    @property
    def estimators(self) -> Sequence[str]:
        """What relevance can be told by, here."""
        return [e for e in self.evaluator.question.estimators if e in ("naive", "plain", "dr")]

    def of(self, block: CellBlock) -> tuple[Codes, dict[str, FloatArray]]:
        """Return the users of a block who have a list, and their sums (users, parts)."""
        log, given = self.evaluator.question.log, self.attention
        has_list = np.bincount(given.users, minlength=log.n_users) > 0
        part = np.arange(log.n_items) if self.part_of_item is None else self.part_of_item
        kept = block.member & has_list[block.users] & (part[block.items] >= 0)
        users, own = np.unique(block.users[kept], return_inverse=True)
        n_parts = int(part.max(initial=-1)) + 1

        def summed(values: FloatArray) -> FloatArray:
            place = own * n_parts + part[block.items[kept]]
            found = np.bincount(place, weights=values[kept], minlength=len(users) * n_parts)
            return found.reshape(len(users), n_parts).astype(np.float64)

        gain = Gain(self.evaluator.question.threshold)
        value = np.where(block.observed, gain.of(block.outcome), 0.0)
        weight = self._weight(block)
        found = {
            "size": summed(np.ones(len(block))),
            "exposure": summed(weight),
            "listed": summed((block.observed & (weight > 0.0)).astype(np.float64)),
        }
        for name in self.estimators:
            chance, residual = value, np.zeros(len(block))
            if name == "dr":
                assert block.mean is not None
                assert self.evaluator.imputation is not None
                chance = np.clip(self.evaluator.imputation.law.gain(block.mean, gain), 0.0, 1.0)
                residual = block.observed / block.propensity * (value - chance)
            found[f"relevant|{name}"], found[f"residual|{name}"] = summed(chance), summed(residual)
        return users.astype(np.int64), found

    def _weight(self, block: CellBlock) -> FloatArray:
        n_items = np.int64(self.evaluator.question.log.n_items)
        known = self.attention.users * n_items + self.attention.items
        keys = block.users.astype(np.int64) * n_items + block.items
        order = np.argsort(known, kind="stable")
        at = np.minimum(np.searchsorted(known[order], keys), max(len(known) - 1, 0))
        weight = self.attention.weight[order][at]
        return np.where(known[order][at] == keys, weight, 0.0)
