"""The adjustment set as columns of numbers, grouped by covariate, for closed forms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import DataError, near_miss
from causalrec.nuisances import Encoders, choose_covariates, shared_design
from causalrec.threads import one_thread

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Adjustment:
    """Covariates of the rows.

    Attributes
    ----------
    matrix : float64 (n, k)
        The first column is 1; words have one column a level but the first.
    groups : mapping of str to tuple of int
        Places of the columns of each covariate.
    """

    matrix: Floats
    groups: dict[str, tuple[int, ...]]

    @classmethod
    def of(cls, rows: InteractionLog, columns: Iterable[str]) -> Adjustment:
        """Encode columns of a log: main effects only."""
        chosen = choose_covariates(rows, None, sorted(set(columns)))
        encoders = Encoders.of(rows, chosen)
        design = shared_design(rows, encoders, crosses=False)
        coded = [*encoders.user.codes, *encoders.item.codes, *encoders.event.codes]
        kept, groups, at = [0], {}, 1
        for code in coded:
            places = list(range(at, at + len(code.names)))
            at += len(places)
            used = places[1:] if code.levels else places
            groups[code.column] = tuple(range(len(kept), len(kept) + len(used)))
            kept += used
        every = len(kept) == design.matrix.shape[1]
        return cls(design.matrix if every else design.matrix[:, kept], groups)

    def choose(self, named: Sequence[str] | None) -> dict[str, tuple[int, ...]]:
        """Return the covariates named, or all that vary.

        Raises
        ------
        DataError
            If one is not in the adjustment set.
        """
        if named is None:
            return {name: places for name, places in self.groups.items() if places}
        for name in named:
            if name not in self.groups:
                raise DataError(
                    f"{name!r} is not in the adjustment set, so nothing can be measured against it."
                    f"{near_miss(name, self.groups)} It holds {', '.join(sorted(self.groups))}."
                )
        return {name: self.groups[name] for name in named if self.groups[name]}

    def without(self, places: Sequence[int]) -> Floats:
        """Return the matrix without these columns."""
        return np.delete(self.matrix, list(places), axis=1)


@one_thread
def cross_products(columns: Floats) -> Floats:
    """Return X'X."""
    return np.asarray(columns.T @ columns)


def residual_sum(gram: Floats, target: int, regressors: Sequence[int]) -> float:
    """Return the residual sum of squares of one column of a Gram matrix on others.

    Examples
    --------
    >>> x = np.column_stack([np.ones(3), [0.0, 1.0, 2.0], [1.0, 1.0, 4.0]])
    >>> round(residual_sum(cross_products(x), 2, [0, 1]), 6)
    1.5
    """
    at = list(regressors)
    across = gram[at, target]
    found = gram[target, target] - across @ np.linalg.pinv(gram[np.ix_(at, at)]) @ across
    return max(float(found), 0.0)


def coefficients(gram: Floats, target: int, regressors: Sequence[int]) -> Floats:
    """Return the least-squares coefficients of one column of a Gram matrix on others."""
    at = list(regressors)
    return np.asarray(np.linalg.pinv(gram[np.ix_(at, at)]) @ gram[at, target])
