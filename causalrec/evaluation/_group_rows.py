"""Metrics by group from the recorded rows alone, where no estimator needs the other cells.

The groups of an attribute part the rows: they are summed with their codes in one pass, instead of
a column for every metric, estimator and group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from causalrec.evaluation._cells import CellSource, Coverage
from causalrec.evaluation._engine import NEEDS_WEIGHT, Weights, key, refuse_empty
from causalrec.evaluation._groups import EVERYBODY, Group
from causalrec.evaluation._recommenders import Codes, FloatArray
from causalrec.evaluation._terms import Term
from causalrec.inference import Estimate
from causalrec.scores import Score

GroupCodes = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class GroupRows:
    """The recorded cells of a population, with the value of every term.

    Attributes
    ----------
    users, items : int32 arrays (n,)
    propensity : float64 array (n,)
    values, bases : mapping of metric to float64 array (n,)
        What is summed above and below the fraction line; no base where cells are counted.
    coverage : Coverage
    """

    users: Codes
    items: Codes
    propensity: FloatArray
    values: Mapping[str, FloatArray]
    bases: Mapping[str, FloatArray]
    coverage: Coverage
    kept: dict[tuple[str, ...], GroupCodes] = field(default_factory=dict)

    @classmethod
    def of(cls, source: CellSource, terms: Sequence[Term]) -> GroupRows:
        """Collect the rows, a block of users at a time."""
        coverage = Coverage()
        parts: dict[str, list[npt.NDArray[np.number]]] = {}

        def keep(name: str, array: npt.NDArray[np.number]) -> None:
            parts.setdefault(name, []).append(array)

        for whole in source.blocks(coverage):
            block = whole.take(whole.observed & whole.member)
            keep("users", block.users)
            keep("items", block.items)
            keep("propensity", block.propensity)
            for term in terms:
                keep(f"value {term.metric}", term.value(block, block.outcome))
                base = term.base(block.outcome)
                if base is not None:
                    keep(f"base {term.metric}", base)
        found = {name: np.concatenate(arrays) for name, arrays in parts.items()}
        bases = [term.metric for term in terms if f"base {term.metric}" in found]
        return cls(
            users=found["users"],
            items=found["items"],
            propensity=found["propensity"],
            values={term.metric: found[f"value {term.metric}"] for term in terms},
            bases={metric: found[f"base {metric}"] for metric in bases},
            coverage=coverage,
        )

    def weight(self, estimator: str) -> FloatArray:
        """Return the weight of every row."""
        if estimator in NEEDS_WEIGHT:
            return 1.0 / self.propensity
        return np.ones(len(self.users))

    def codes_of(self, groups: Sequence[Group]) -> GroupCodes:
        """Return the group of every row, -1 for none; found once for an attribute."""
        name = tuple(group.label for group in groups)
        if name not in self.kept:
            self.kept[name] = self._codes_of(groups)
        return self.kept[name]

    def _codes_of(self, groups: Sequence[Group]) -> GroupCodes:
        found = np.full(len(self.users), -1, dtype=np.int64)
        for code, group in enumerate(groups):
            if group.users is not None:
                found[group.users[self.users]] = code
            elif group.items is not None:
                found[group.items[self.items]] = code
        return found

    def weights_by(
        self, groups: Sequence[Group], estimators: Sequence[str]
    ) -> dict[tuple[str, str], Weights]:
        """Return what stands behind every estimator in every group, and in everybody."""
        codes, q = self.codes_of(groups), len(groups)
        found = {}
        for estimator in estimators:
            weight = self.weight(estimator)
            everybody = Weights()
            everybody.add(weight)
            found[estimator, EVERYBODY.label] = everybody
            count = np.bincount(codes + 1, minlength=q + 1)
            total = np.bincount(codes + 1, weights=weight, minlength=q + 1)
            squares = np.bincount(codes + 1, weights=weight**2, minlength=q + 1)
            largest = np.zeros(q + 1)
            np.maximum.at(largest, codes + 1, weight)
            for at, group in enumerate(groups, start=1):
                found[estimator, group.label] = Weights(
                    int(count[at]), float(total[at]), float(squares[at]), float(largest[at])
                )
        refuse_empty(found)
        return found

    def estimate(
        self,
        term: Term,
        estimators: Sequence[str],
        groups: Sequence[Group],
        *,
        clusters: Mapping[str, npt.NDArray[np.int64]],
        level: float,
        one_row_per_cell: bool,
    ) -> Estimate:
        """Return one term by every estimator in every group of an attribute."""
        value, base = self.values[term.metric], self.bases.get(term.metric)
        weight = np.stack([self.weight(estimator) for estimator in estimators], axis=1)
        below = weight if base is None else weight * base[:, None]
        found = Estimate.from_score(
            Score(weight * value[:, None], below, weight),
            clusters,
            labels=[key(term, estimator, group) for estimator in estimators for group in groups],
            groups=self.codes_of(groups),
            n_groups=len(groups),
            level=level,
            one_row_per_cell=one_row_per_cell,
        )
        if not term.per_user:
            return found
        scales = [self.coverage.cells_a_user(group.users) for group in groups] * len(estimators)
        return found.contrast(np.diag(scales), list(found.labels))
