"""Ratios of sums over cells: every term by every estimator in every group, with one influence.

All columns are accumulated together, so differences between models, estimators and groups, and
with a randomised slice, have their covariance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from causalrec.errors import DataError
from causalrec.evaluation._cells import CellBlock, CellSource, Coverage
from causalrec.evaluation._groups import EVERYBODY, Group
from causalrec.evaluation._law import OutcomeLaw
from causalrec.evaluation._recommenders import FloatArray
from causalrec.evaluation._shadow_influence import ShadowInfluence
from causalrec.evaluation._slice_error import SliceError
from causalrec.evaluation._terms import Named, Term
from causalrec.inference import CellTotals, Estimate
from causalrec.scores import dr_score

Estimator = str
"""naive, plain, ips, snips, dr, regression; "randomized" is the plain mean of the slice; "shadow"
is snips with a propensity that depends on the outcome."""

NEEDS_WEIGHT = frozenset({"ips", "snips", "dr", "shadow"})
NEEDS_EVERY_CELL = frozenset({"ips", "dr", "regression"})
NEEDS_MEAN = frozenset({"dr", "regression"})


@dataclass
class Weights:
    """What stands behind a weighted number: how many recorded cells, how unequal their weights."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    largest: float = 0.0

    def add(self, weight: FloatArray) -> None:
        """Count the positive weights."""
        used = weight[weight > 0]
        self.n += len(used)
        self.total += float(used.sum())
        self.squares += float(np.square(used).sum())
        self.largest = max(self.largest, float(used.max(initial=0.0)))

    @property
    def effective(self) -> float:
        """Kish's effective sample size, (sum w)^2 / sum w^2."""
        return self.total**2 / self.squares if self.squares else 0.0


@dataclass(frozen=True, eq=False)
class Sums:
    """The joint estimate, and what was counted on the way.

    Attributes
    ----------
    estimate : Estimate
        Labelled by `key`.
    coverage : Coverage
    weights : mapping of (estimator, group label) to Weights
    """

    estimate: Estimate
    coverage: Coverage
    weights: dict[tuple[str, str], Weights]


def key(term: Named, estimator: str, group: Group = EVERYBODY) -> str:
    """Return the internal label of one number."""
    return "|".join((term.metric, term.model, estimator, group.label))


@dataclass(frozen=True)
class _Number:
    """One ratio: where its sums are kept."""

    term: Term
    estimator: Estimator
    group: Group
    upper: int
    lower: int
    weight: int


@dataclass(eq=False)
class _Columns:
    """Places of the sums: what several numbers share is kept once."""

    names: dict[tuple[str, ...], int] = field(default_factory=dict)

    def place(self, *name: str) -> int:
        """Return the place of a sum, a new one if it is not known."""
        return self.names.setdefault(name, len(self.names))

    def number(self, term: Term, estimator: Estimator, group: Group) -> _Number:
        """Return where the sums of one ratio are kept."""
        weight = ("weight", _kind_of_weight(estimator), group.label)
        lower: tuple[str, ...] = weight
        if term.base(np.zeros(0)) is not None:
            lower = ("base", term.metric, estimator, group.label)
        elif estimator in NEEDS_EVERY_CELL:
            lower = ("cells", "", group.label)
        upper = ("upper", term.metric, term.model, estimator, group.label)
        places = (self.place(*upper), self.place(*lower), self.place(*weight))
        return _Number(term, estimator, group, *places)


def accumulate(
    source: CellSource,
    terms: Sequence[Term],
    estimators: Sequence[Estimator],
    *,
    groups: Sequence[Group] = (EVERYBODY,),
    law: OutcomeLaw | None = None,
    sampled: Sequence[str] = ("user", "item"),
    level: float = 0.95,
    by_provider: bool = False,
    shadow: ShadowInfluence | None = None,
) -> Sums:
    """Estimate every term by every estimator in every group.

    Parameters
    ----------
    source : CellSource
        Where the cells come from; it says what they carry.
    terms : sequence of Term
    estimators : sequence of str
        "randomized" is the plain mean of the slice in `source.randomized`.
    groups : sequence of Group
    law : OutcomeLaw, optional
        The law of an outcome given the outcome model's mean, for "dr" and "regression".
    sampled : sequence of "user", "item"
        () for the error over these very cells: only which of them were recorded is random.
    level : float
    by_provider : bool
        Cluster by the provider of an item instead of the item; `sampled` then says "provider".
    shadow : ShadowInfluence, optional
        For "shadow": the error of its propensities.

    Raises
    ------
    DataError
        If an estimator has no recorded cell in the population.
    """
    if (NEEDS_EVERY_CELL & set(estimators) or shadow is not None) and not source.every_cell:
        source = replace(source, every_cell=True)
    columns = _Columns()
    numbers = [columns.number(t, e, g) for t in terms for e in estimators for g in groups]
    log = source.log
    clusters = (log.provider, "provider") if by_provider else (None, "item")
    totals = CellTotals(
        log.n_users,
        log.n_items,
        len(columns.names),
        item_clusters=clusters[0],
        item_dimension=clusters[1],
    )
    coverage = Coverage()
    weights: dict[tuple[str, str], Weights] = {
        (estimator, group.label): Weights() for estimator in estimators for group in groups
    }
    rates = {estimator: _recorded_share(source, estimator) for estimator in estimators}
    weighted = [number for number in numbers if number.estimator == "snips"]
    of_slice = SliceError.of(source, [n.upper for n in weighted], [n.lower for n in weighted])
    for block in source.blocks(coverage):
        values = np.zeros((len(block), len(columns.names)))
        random = None if sampled else np.zeros_like(values)
        _fill(values, random, block, numbers, law, rates)
        if shadow is not None:
            _add_error_of_propensity(values, random, block, numbers, shadow)
        if of_slice is not None:
            of_slice.add(block, values)
        _add(totals, block, values, random)
        for estimator in estimators:
            weight = _weight(estimator, block)
            for group in groups:
                weights[estimator, group.label].add(weight * _inside(block, group))
    refuse_empty(weights)
    if of_slice is not None:
        of_slice.write(totals, by_design=not sampled)
    estimate = totals.to_estimate(
        [number.upper for number in numbers],
        [number.lower for number in numbers],
        labels=[key(number.term, number.estimator, number.group) for number in numbers],
        weights=[number.weight for number in numbers],
        sampled=tuple(sampled),
        level=level,
    )
    return Sums(_scaled(estimate, numbers, coverage), coverage, weights)


def _scaled(estimate: Estimate, numbers: Sequence[_Number], coverage: Coverage) -> Estimate:
    """Turn means over cells into sums over a user's cells, for what is counted by user.

    One normaliser: the mean over cells times the cells that a user has.
    """
    scales = np.ones(len(numbers))
    for at, number in enumerate(numbers):
        if number.term.per_user:
            scales[at] = coverage.cells_a_user(number.group.users)
    if (scales == 1.0).all():
        return estimate
    return estimate.contrast(np.diag(scales), list(estimate.labels))


def _fill(
    values: FloatArray,
    random: FloatArray | None,
    block: CellBlock,
    numbers: Sequence[_Number],
    law: OutcomeLaw | None,
    rates: Mapping[str, float],
) -> None:
    """Write the sums of a block, and the random part of each, into their columns."""
    parts: dict[tuple[str, ...], tuple[_Summand, ...]] = {}
    insides = {number.group.label: _inside(block, number.group) for number in numbers}
    for number in numbers:
        name = (number.term.metric, number.term.model, number.estimator)
        if name not in parts:
            parts[name] = _parts(number.term, number.estimator, block, law)
        inside = insides[number.group.label]
        places = (number.upper, number.lower, number.weight)
        for place, summand in zip(places, parts[name], strict=True):
            values[:, place] = summand.total * inside
            if random is not None:
                chance = _chance(number.estimator, block, rates[number.estimator])
                random[:, place] = summand.random * np.sqrt(1.0 - chance) * inside


def _add_error_of_propensity(
    values: FloatArray,
    random: FloatArray | None,
    block: CellBlock,
    numbers: Sequence[_Number],
    shadow: ShadowInfluence,
) -> None:
    """Add to each number by a shadow variable what its estimated propensity does to it."""
    factors, weight = shadow.at(block), _weight("shadow", block)
    for number in numbers:
        if number.estimator == "shadow":
            factor = factors[number.group.label]
            rest = shadow.remainder_of(number.group.label)
            values[:, number.upper] += factor * (weight - 1.0) - rest
            if random is not None:
                random[:, number.upper] += factor * weight * np.sqrt(1.0 - block.propensity)


def _add(
    totals: CellTotals, block: CellBlock, values: FloatArray, random: FloatArray | None
) -> None:
    if block.span is None:
        totals.add_rows(block.users, block.items, values, design_residual=random)
        return
    if random is not None:
        nothing = np.zeros_like(values)
        totals.add_rows(block.users, block.items, nothing, design_residual=random)
    height = block.span.stop - block.span.start
    dense = np.zeros((height, totals.n_items, values.shape[1]))
    dense[block.users - block.span.start, block.items] = values
    totals.add(block.span, dense)


def _inside(block: CellBlock, group: Group) -> FloatArray:
    inside = group.holds(block)
    return (block.member if inside is None else block.member & inside).astype(np.float64)


def _kind_of_weight(estimator: str) -> str:
    if estimator in NEEDS_WEIGHT:
        return "inverse"
    return "randomized" if estimator == "randomized" else "one"


def _weight(estimator: str, block: CellBlock) -> FloatArray:
    """Return the weight of each recorded cell; 0 for the others."""
    if estimator == "randomized":
        assert block.randomized is not None
        return block.randomized.astype(np.float64)
    if estimator in NEEDS_WEIGHT:
        return block.observed / block.propensity
    return block.observed.astype(np.float64)


def _chance(estimator: str, block: CellBlock, rate: float) -> FloatArray | float:
    """Return the probability that the cell was recorded, for the error over these very cells."""
    return block.propensity if estimator in NEEDS_WEIGHT else rate


@dataclass(frozen=True)
class _Summand:
    """What a cell adds to a sum, and the part of it that the recording made random."""

    total: FloatArray
    random: FloatArray


def _parts(
    term: Term, estimator: Estimator, block: CellBlock, law: OutcomeLaw | None
) -> tuple[_Summand, _Summand, _Summand]:
    """Return what each cell adds above and below the fraction line, and its weight."""
    outcome = block.outcome
    if estimator == "randomized":
        assert block.randomized_outcome is not None
        outcome = block.randomized_outcome
    value, base = term.value(block, outcome), term.base(outcome)
    expected = expected_base = None
    if estimator in NEEDS_MEAN:
        assert block.mean is not None
        assert law is not None
        expected = term.expected(block, block.mean, law)
        expected_base = term.expected_base(block.mean, law)
    upper = _summand(estimator, value, expected, block)
    weight = _weight(estimator, block)
    whole = _Summand(weight, weight)
    if base is not None:
        return upper, _summand(estimator, base, expected_base, block), whole
    if estimator in NEEDS_EVERY_CELL:
        return upper, _Summand(np.ones(len(block)), np.zeros(len(block))), whole
    return upper, whole, whole


def _summand(
    estimator: str, value: FloatArray, expected: FloatArray | None, block: CellBlock
) -> _Summand:
    if expected is None:
        weighted = _weight(estimator, block) * value
        return _Summand(weighted, weighted)
    if estimator == "regression":
        return _Summand(expected, np.zeros_like(expected))
    score = dr_score(value, block.observed, block.propensity, expected)
    return _Summand(score, score - expected)


def _recorded_share(source: CellSource, estimator: str) -> float:
    """Return the share of the eligible cells that a plain mean saw: of the slice, or the log."""
    beside = source.randomized if estimator == "randomized" else None
    log = source.log if beside is None else beside
    return min(1.0, len(log.observed_cells()) / max(source.log.n_eligible, 1))


def refuse_empty(weights: Mapping[tuple[str, str], Weights]) -> None:
    """Raise where an estimator has no recorded cell of everybody."""
    for (estimator, group), found in weights.items():
        if not group and not found.n:
            raise DataError(
                f"There is no recorded cell in the population for estimator {estimator!r}: look"
                " at log.support(propensity, floor=...), and at the cells that were excluded."
            )
