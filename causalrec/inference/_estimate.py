"""`Estimate`: a labelled vector of numbers that carries its influence, summed by cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from causalrec.errors import DataError, ResultError, near_miss
from causalrec.inference import _algebra, _grouped, _intervals, _multiplicity, _rows, _significance
from causalrec.inference._grid import grid_influence
from causalrec.inference._influence import FEWEST_CLUSTERS, Influence
from causalrec.inference._rows import ScoreLike
from causalrec.inference._sums import FloatArray, IntArray

Status = Literal["ok", "suppressed", "not_estimable", "low_support"]

LOW_SUPPORT = 30.0
"""An effective sample size below this is reported as low support."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """Labelled estimates with their joint influence; every number of the toolkit is one.

    Nothing stores a standard error. The influence is kept as sums by cluster, and every operation
    (contrast, ratio, arithmetic) is a linear map of it, so covariances between labels follow of
    themselves: `e - e` has variance zero and `(e + e) / 2` is `e`.

    Build one with `from_score`, `from_grid` or `CellTotals.to_estimate`, not with this
    constructor.

    Parameters
    ----------
    labels : tuple of str
    value : float array (q,)
    influence : Influence
        Joint influence of K ratio estimates.
    matrix : float array (K, q)
        The labels as linear maps of them (a gradient, for a ratio).
    scale : {"identity", "log"}
        "log" for ratios: intervals are symmetric on the log scale and the null value is 1.
    level : float
        Default confidence level.
    population, estimator : str
        Whom the numbers speak of, and by what recipe; carried along for results.

    Examples
    --------
    >>> import numpy as np
    >>> from causalrec.scores import Score, group_scores
    >>> rng = np.random.default_rng(0)
    >>> users, items = np.repeat(np.arange(40), 30), np.tile(np.arange(30), 40)
    >>> clicks = rng.normal(size=1200) + rng.normal(size=40)[users]
    >>> score = group_scores(Score(clicks), users % 2)
    >>> by_group = Estimate.from_score(
    ...     score, clusters={"user": users, "item": items}, labels=["even", "odd"])
    >>> gap = by_group.difference("even", "odd")
    >>> gap.labels, gap.clusters
    (('even - odd',), {'user': 40, 'item': 30})
    >>> bool(gap.interval()[0, 0] < 0 < gap.interval()[0, 1])
    True
    """

    labels: tuple[str, ...]
    value: FloatArray
    influence: Influence = field(repr=False)
    matrix: FloatArray = field(repr=False)
    scale: Literal["identity", "log"] = "identity"
    level: float = 0.95
    population: str = ""
    estimator: str = ""
    marks: Mapping[str, Status] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if len(set(self.labels)) != len(self.labels) or len(self.labels) != len(self.value):
            raise DataError(
                f"An estimate of {len(self.value)} numbers needs as many distinct labels;"
                f" got {list(self.labels)}."
            )
        _intervals.check_level(self.level)

    @classmethod
    def from_score(
        cls,
        score: ScoreLike,
        clusters: Mapping[str, IntArray],
        labels: Sequence[str] | None = None,
        *,
        groups: IntArray | None = None,
        n_groups: int | None = None,
        sampled: Sequence[str] | None = None,
        level: float = 0.95,
        population: str = "",
        estimator: str = "",
        one_row_per_cell: bool = False,
    ) -> Estimate:
        """Estimate sum(numerator) / sum(denominator) of a score given by rows.

        Parameters
        ----------
        score : causalrec.scores.Score
            Arrays (n, q).
        clusters : mapping from dimension to int codes (n,)
            For example {"user": codes, "item": codes}; codes start at 0.
        labels : sequence of str, optional
        groups : int array (n,), optional
            One label a group, in the order of `causalrec.scores.group_scores` (the groups of
            the first column, then those of the next), in a fraction of its time and memory;
            -1 is in no group.
        n_groups : int, optional
            Default: the largest code plus one.
        sampled : sequence of str, optional
            The dimensions drawn at random: default all of `clusters`. () means that these very
            rows are the population and only the logging or selection was random; the score must
            then carry `design_residual`.
        level : float
        population, estimator : str
        one_row_per_cell : bool
            True skips the search for rows with equal codes in every dimension sampled.

        Raises
        ------
        DataError
            If shapes differ, a number is not finite, or a dimension has no codes.

        Notes
        -----
        Two dimensions: Cameron, Gelbach & Miller (2011), user + item - (user, item). More: by
        inclusion and exclusion.
        """
        if groups is None:
            influence, value = _rows.row_influence(score, clusters, sampled, one_row_per_cell)
        else:
            grouped = _grouped.check_groups(groups, n_groups, len(score.numerator))
            influence, value = _grouped.grouped_influence(
                score, clusters, sampled, one_row_per_cell, *grouped
            )
        return cls.of_atoms(influence, value, labels, level, population, estimator)

    @classmethod
    def from_grid(
        cls,
        user_factors: FloatArray,
        item_factors: FloatArray,
        users: IntArray,
        items: IntArray,
        residual: FloatArray,
        labels: Sequence[str] | None = None,
        *,
        user_groups: IntArray | None = None,
        item_groups: IntArray | None = None,
        design_residual: FloatArray | None = None,
        weight: FloatArray | None = None,
        sampled: Sequence[str] = ("user", "item"),
        level: float = 0.95,
        population: str = "",
        estimator: str = "",
    ) -> Estimate:
        """Estimate the mean over a grid of cells of `A[u] . B[i] + residual` without building it.

        This is the DR mean of a low-rank outcome model g = A B' with residual (O / p) (y - g) on
        the observed cells. Cost O(nnz + (users + items) k^2).

        Parameters
        ----------
        user_factors, item_factors : float arrays (m, k) and (n, k)
        users, items : int arrays (nnz,)
            Codes of the observed cells, one entry a cell.
        residual : float array (nnz,)
        labels : sequence of str, optional
            One for each pair of a user group and an item group, user group first.
        user_groups, item_groups : int arrays (m,) and (n,), optional
            Group of each user and item; -1 leaves it out of every mean.
        design_residual : float array (nnz,), optional
            For `sampled=()`: see `causalrec.scores.design_residual`.
        weight : float array (nnz,), optional
            1 / p, for the effective sample size.
        sampled : sequence of "user", "item"
        level, population, estimator
            As in `from_score`.
        """
        influence = grid_influence(
            (np.asarray(user_factors, np.float64), np.asarray(item_factors, np.float64)),
            (np.asarray(users), np.asarray(items), np.asarray(residual, np.float64)),
            (user_groups, item_groups),
            design_residual,
            weight,
            tuple(sampled),
        )
        value = np.where(influence.counts > 0, influence.values, np.nan)
        return cls.of_atoms(influence, value, labels, level, population, estimator)

    @classmethod
    def of_atoms(
        cls,
        influence: Influence,
        value: FloatArray,
        labels: Sequence[str] | None,
        level: float,
        population: str,
        estimator: str,
    ) -> Estimate:
        """Wrap a joint influence, one label an atom."""
        default = ["estimate"] if len(value) == 1 else [f"estimate {k}" for k in range(len(value))]
        names = tuple(map(str, default if labels is None else labels))
        matrix = np.eye(len(value))
        return cls(names, value, influence, matrix, "identity", level, population, estimator)

    @staticmethod
    def stack(estimates: Sequence[Estimate], labels: Sequence[str] | None = None) -> Estimate:
        """Put estimates on the same cells side by side, with the covariances between them.

        Parameters
        ----------
        estimates : sequence of Estimate
        labels : sequence of str, optional
            Default: the labels as they are, which then have to be distinct.

        Raises
        ------
        ResultError
            If they stand on other rows or clusters, or on two separate streamed accumulations.
        """
        return _algebra.stack(list(estimates), labels)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def covariance(self) -> FloatArray:
        """Covariance (q, q), for what `sampled` says was drawn; NaN where there is no value."""
        covariance = self.influence.covariance(self.matrix)
        missing = ~np.isfinite(self.value)
        covariance[missing, :] = np.nan
        covariance[:, missing] = np.nan
        return covariance

    @property
    def standard_error(self) -> FloatArray:
        """Standard errors (q,), in the units of the value."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def sampled(self) -> tuple[str, ...]:
        """Dimensions that the interval treats as drawn at random."""
        return self.influence.sampled

    @cached_property
    def n(self) -> IntArray:
        """Rows or cells behind each label (q,): of the smallest part, for a combination."""
        return _algebra.smallest(self.influence.counts, self.matrix).astype(np.int64)

    @cached_property
    def effective_sample_size(self) -> FloatArray:
        """Kish's (sum w)^2 / sum w^2 of the weights (q,): of the smallest part."""
        return _algebra.smallest(self.influence.sizes, self.matrix)

    @cached_property
    def clusters_by_label(self) -> dict[str, IntArray]:
        """Clusters of each dimension sampled behind each label (q,): of the smallest part."""
        return {
            name: _algebra.smallest(counts, self.matrix).astype(np.int64)
            for name, counts in self.influence.cluster_counts.items()
        }

    @property
    def clusters(self) -> dict[str, int]:
        """Clusters of each dimension sampled with a part in any label."""
        used = self.matrix.any(axis=1)
        return {
            name: int(np.count_nonzero(self.influence.full_share(name)[:, used].any(axis=1)))
            for name in self.influence.shares
        }

    @cached_property
    def effective_clusters(self) -> dict[str, FloatArray]:
        """Clusters of each dimension, discounted for unequal size and unequal groups (q,)."""
        return {d: self.influence.effective_clusters(d, self.matrix) for d in self.sampled}

    @cached_property
    def status(self) -> tuple[Status, ...]:
        """Status of each label.

        "not_estimable": no value, or under five clusters of a dimension, so that `p_value` is a
        permutation p and there is no interval. "low_support": effective sample size below 30.
        """
        enough = np.isfinite(self.value)
        for counts in self.clusters_by_label.values():
            enough &= counts >= FEWEST_CLUSTERS
        if self.scale == "log":
            enough &= self.value > 0.0
        thin = self.effective_sample_size < LOW_SUPPORT
        found: list[Status] = []
        for label, fine, low in zip(self.labels, enough, thin, strict=True):
            computed: Status = "not_estimable" if not fine else "low_support" if low else "ok"
            found.append(self.marks.get(label, computed))
        return tuple(found)

    @cached_property
    def small_sample(self) -> tuple[FloatArray, FloatArray]:
        """Degrees of freedom of the t interval and its inflation for few clusters, each (q,)."""
        return _intervals.small_sample(self.effective_clusters, len(self))

    @property
    def degrees_of_freedom(self) -> FloatArray:
        """Degrees of freedom of the t interval (q,)."""
        return self.small_sample[0]

    def interval(
        self, level: float | None = None, kind: Literal["pointwise", "simultaneous"] = "pointwise"
    ) -> FloatArray:
        """Confidence intervals (q, 2); NaN where the status is "not_estimable".

        Parameters
        ----------
        level : float, optional
            Default: the estimate's own level.
        kind : {"pointwise", "simultaneous"}
            "simultaneous" is the sup-t band over all labels.
        """
        return _significance.interval(self, self.level if level is None else level, kind)

    def simultaneous_interval(self, level: float | None = None) -> FloatArray:
        """Sup-t intervals (q, 2): all labels are covered at once with the stated confidence."""
        return self.interval(level, kind="simultaneous")

    def p_value(self, null: float | None = None) -> FloatArray:
        """Two-sided p-values (q,) of `value == null` (default 0; 1 for a ratio).

        With under five clusters of a dimension: a permutation p (see `_permutation`).
        """
        return _significance.p_value(self, null)

    def correct_for_multiplicity(
        self, method: Literal["holm", "bh"] = "holm", null: float | None = None
    ) -> FloatArray:
        """Adjust the p-values (q,) over the labels: "holm" for verdicts, "bh" for screens."""
        return _multiplicity.correct(self.p_value(null), method)

    def position(self, label: str) -> int:
        """Place of a label, or an error that lists the labels."""
        if label not in self.labels:
            known = ", ".join(map(repr, self.labels))
            raise ResultError(
                f"There is no label {label!r}.{near_miss(label, self.labels)}"
                f" The labels are {known}."
            )
        return self.labels.index(label)

    def __getitem__(self, label: str | Iterable[str]) -> Estimate:
        names = (label,) if isinstance(label, str) else tuple(label)
        places = [self.position(name) for name in names]
        marks = {name: self.marks[name] for name in names if name in self.marks}
        return replace(
            self, labels=names, value=self.value[places], matrix=self.matrix[:, places], marks=marks
        )

    def contrast(
        self,
        coefficients: Mapping[str, float] | Mapping[str, Mapping[str, float]] | ArrayLike,
        labels: Sequence[str] | str | None = None,
    ) -> Estimate:
        """Linear combinations of the labels.

        Parameters
        ----------
        coefficients : mapping or array
            {label: coefficient} for one; {new label: {label: coefficient}} for several; or an
            array (contrasts, q).
        labels : str or sequence of str, optional
            Names of the combinations.

        Examples
        --------
        `gaps = by_genre.contrast({"jazz": 1, "rock": -1}, labels="jazz - rock")`
        """
        return _algebra.contrast(self, coefficients, labels)

    def difference(self, first: str, second: str, label: str | None = None) -> Estimate:
        """Subtract the second label from the first."""
        name = label or f"{first} - {second}"
        return self.contrast({name: {first: 1.0, second: -1.0}})

    def ratio(self, first: str, second: str, label: str | None = None) -> Estimate:
        """Divide the first label by the second; the interval is symmetric on the log scale.

        A ratio that is not positive keeps its value and standard error but has no interval.
        """
        return _algebra.ratio(self, first, second, label)

    def shift(self, amount: ArrayLike) -> Estimate:
        """Add a known number, or one a label (q,); nothing random is added."""
        return replace(self, value=self.value + np.asarray(amount, np.float64), scale="identity")

    def relabel(self, labels: Sequence[str]) -> Estimate:
        """Return the same numbers under other labels."""
        renamed = dict(zip(self.labels, map(str, labels), strict=True))
        marks = {renamed[old]: mark for old, mark in self.marks.items()}
        return replace(self, labels=tuple(renamed.values()), marks=marks)

    def mark(self, statuses: Mapping[str, Status]) -> Estimate:
        """Return the same numbers with a status set by hand ("low_support", "suppressed")."""
        for label in statuses:
            self.position(label)
        return replace(self, marks={**self.marks, **statuses})

    def describe(self, *, population: str | None = None, estimator: str | None = None) -> Estimate:
        """Return the same numbers under another description of their population or estimator."""
        return replace(
            self,
            population=self.population if population is None else population,
            estimator=self.estimator if estimator is None else estimator,
        )

    def __add__(self, other: Estimate | float) -> Estimate:
        return _algebra.add(self, other, 1.0)

    __radd__ = __add__

    def __sub__(self, other: Estimate | float) -> Estimate:
        return _algebra.add(self, other, -1.0)

    def __rsub__(self, other: float) -> Estimate:
        return _algebra.add(-self, other, 1.0)

    def __mul__(self, factor: float) -> Estimate:
        return _algebra.scale(self, factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Estimate:
        return _algebra.divide(self, divisor)

    def __neg__(self) -> Estimate:
        return _algebra.scale(self, -1.0)

    def __float__(self) -> float:
        if len(self) != 1:
            raise ResultError(
                f"This estimate has {len(self)} labels: {', '.join(map(repr, self.labels))}."
                " Choose one: float(estimate[label])."
            )
        return float(self.value[0])
