"""Expected exposure of a user's items against what equal relevance would give, user by user.

Diaz, Mitra, Ekstrand, Biega & Carterette (2020): relevant items should share the first places, the
others what is left. With m relevant of n items and V(m) the attention of the first m places, each
relevant item is due a = V(m) / m, each other item b = (V(n) - V(m)) / (n - m). Disparity is
EED = sum e^2, relevance EER = 2 sum e e*, loss EEL = sum (e - e*)^2 = EED - EER + sum e*^2.

How many items are relevant is not seen. All three are functions of m and of sums over relevant
items, so the doubly robust version takes the outcome model's chances, and adds the slope of the
function times the weighted residuals and half its curvature times their products over pairs of
different cells: right to second order in what the outcome model misses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from causalrec.evaluation._cell_evaluator import evaluator_of_cells
from causalrec.evaluation._cells import CellBlock, Coverage
from causalrec.evaluation._law import Gain
from causalrec.evaluation._merit_estimates import Attention
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

    def attention(self, m: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return V(m), linear between whole numbers, its slope, and the slope's change."""
        whole, following = np.r_[0.0, np.cumsum(self.places)], np.r_[self.places, 0.0, 0.0]
        at = np.clip(np.floor(m).astype(np.int64), 0, len(self.places))
        slope = following[at]
        return whole[at] + (m - at) * slope, slope, following[at + 1] - slope

    def of_items(self, m: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return what a relevant item is due, and another one: (3, users) each.

        The value, its first and its second derivative in m.
        """
        (reached, slope, bend), whole = self.attention(m), self.attention(self.n)[0]
        rest = self.n - m
        some, left = m > 0, rest > 0
        inside, outside = np.where(some, m, 1.0), np.where(left, rest, 1.0)
        a = np.where(some, reached / inside, self.places[0])
        b = np.where(left, (whole - reached) / outside, 0.0)
        da = np.where(some, (slope - a) / inside, 0.0)
        db = np.where(left, (b - slope) / outside, 0.0)
        return (
            np.stack([a, da, np.where(some, (bend - 2.0 * da) / inside, 0.0)]),
            np.stack([b, db, np.where(left, (2.0 * db - bend) / outside, 0.0)]),
        )


class ExposureLoss:
    """EER, and EEL - EED, as functions of how many items of each part are relevant.

    Parameters
    ----------
    exposure, relevant, sizes : float64 arrays (users, parts)
        Attention, relevant items and items of each part: single items, or groups summed first.
    due : Due
    """

    def __init__(
        self, exposure: FloatArray, relevant: FloatArray, sizes: FloatArray, due: Due
    ) -> None:
        m = np.minimum(relevant.sum(axis=1), due.n)
        (a, da, dda), (b, db, ddb) = (x[:, :, None] for x in due.of_items(m))
        others = sizes - relevant
        self.exposure = exposure
        self.target = relevant * a + others * b
        self.apart, self.apart_changes = a - b, da - db
        self.common = relevant * da + others * db  # slope of every part's target in m
        self.bend = relevant * dda + others * ddb

    def value(self) -> FloatArray:
        """Return both, (2, users)."""
        relevance = 2.0 * (self.exposure * self.target).sum(axis=1)
        return np.stack([relevance, np.square(self.target).sum(axis=1) - relevance])

    def first_order(self, step: FloatArray) -> FloatArray:
        """Return the change of both along a step in the relevant items of each part, (2, users)."""
        moved = step * self.apart + self.common * step.sum(axis=1, keepdims=True)
        relevance = 2.0 * (self.exposure * moved).sum(axis=1)
        return np.stack([relevance, 2.0 * (self.target * moved).sum(axis=1) - relevance])

    def second_order(self, step: FloatArray, own: FloatArray) -> FloatArray:
        """Return half the curvature along a step, less `own` on the diagonal, (2, users)."""
        total = step.sum(axis=1, keepdims=True)
        moved = step * self.apart + self.common * total
        turned = 2.0 * step * total * self.apart_changes + self.bend * np.square(total)
        # The diagonal: each part's own second derivatives, of the target and of its square.
        of_one = own.sum(axis=1, keepdims=True)
        turned = turned - 2.0 * own * self.apart_changes - self.bend * of_one
        squares = (
            np.square(moved).sum(axis=1)
            - (own * (np.square(self.apart) + 2.0 * self.apart * self.common)).sum(axis=1)
            - of_one[:, 0] * np.square(self.common).sum(axis=1)
        )
        relevance = (self.exposure * turned).sum(axis=1)
        return np.stack([relevance, squares + (self.target * turned).sum(axis=1) - relevance])


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
    evaluator = evaluator_of_cells(log, purpose="expected exposure, relevance included", **options)
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
                loss = ExposureLoss(exposure, expected, sums["size"], due)
                values = loss.value()
                if name == "dr":
                    values = values + loss.first_order(residual)
                    values = values + loss.second_order(residual, sums["own"])
                for quantity, value in zip(("eer", "rest"), values, strict=True):
                    kept.setdefault(f"{given}{quantity}|{name}", []).append(value)
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

    @cached_property
    def calibration(self) -> float:
        """Weighted relevance of the recorded cells over the outcome model's, before curvature.

        The expansion is about the model's counts: right on average, what is left is of third order.
        """
        question, imputation = self.evaluator.question, self.evaluator.imputation
        assert imputation is not None
        gain, above, below = Gain(question.threshold), 0.0, 0.0
        for block in self.evaluator.source.blocks(Coverage()):
            kept = block.take(block.member & block.observed)
            mean = imputation.cells(question.log, kept.users, kept.items)
            chance = np.clip(imputation.law.gain(mean, gain), 0.0, 1.0)
            above += float((gain.of(kept.outcome) / kept.propensity).sum())
            below += float((chance / kept.propensity).sum())
        return above / below if below > 0.0 else 1.0

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
                chance = self.evaluator.imputation.law.gain(block.mean, gain)
                chance = np.clip(chance * self.calibration, 0.0, 1.0)
                inverse = block.observed / block.propensity
                residual = inverse * (value - chance)
                # What a cell's own square adds beyond the variance of its relevance is noise.
                found["own"] = summed(np.square(residual) - inverse * np.square(value - chance))
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
