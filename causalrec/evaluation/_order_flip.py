"""How wrong the propensities would have to be for the order of two models to flip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from causalrec.errors import StudyError
from causalrec.evaluation._cells import Coverage
from causalrec.evaluation._plan import Plan
from causalrec.evaluation._recommenders import Codes, FloatArray
from causalrec.evaluation._terms import Term
from causalrec.inference import Bounds, marginal_sensitivity_bounds, smallest_lambda
from causalrec.results import Assumption, Result, Row, Table, format_cell

LARGEST = 100.0
TOLERANCE = 1e-3
"""On the logarithm of Lambda, where the end of an interval is sought."""
METHOD = "Imbens-Manski, around both bounds"


@dataclass(frozen=True, eq=False)
class Weighed:
    """The recorded cells of the population with every model's value of every metric.

    Attributes
    ----------
    users, items : int32 (n,)
    propensity : float64 (n,)
    values : mapping of (metric, model) to float64 (n,)
        Value a unit of `row_weight`, so that the metric is their weighted mean.
    row_weight : mapping of metric to float64 (n,)
        1, or the relevance for what is divided by relevant cells.
    """

    users: Codes
    items: Codes
    propensity: FloatArray
    values: dict[tuple[str, str], FloatArray]
    row_weight: dict[str, FloatArray]
    sampled: tuple[str, ...]
    level: float

    def bounds(self, h: FloatArray, metric: str, lam: float, label: str) -> Bounds:
        """Return the bounds of a weighted mean at a Lambda."""
        return marginal_sensitivity_bounds(
            h,
            self.propensity,
            np.ones(len(h)),
            lam,
            {"user": self.users, "item": self.items},
            [label],
            row_weight=self.row_weight[metric],
            sampled=self.sampled,
            level=self.level,
            one_row_per_cell=True,
        )


@dataclass(frozen=True)
class Flip:
    """What one pair of models on one metric says.

    Attributes
    ----------
    value, lower, upper : float
        The SNIPS difference and its interval.
    of_difference, of_interval : float
        The smallest Lambda at which the bounds of the difference reach zero, and at which their
        interval does (1 where the plain one does); infinite above 100.
    """

    metric: str
    first: str
    second: str
    value: float
    lower: float
    upper: float
    of_difference: float
    of_interval: float

    @property
    def label(self) -> str:
        """The pair, as `evaluate` names it."""
        return f"{self.metric}: {self.first} - {self.second}"


def sensitivity_of_order(plan: Plan | None, whole: Result, lam: Sequence[float]) -> Result:
    """Bound every model's metric and every paired difference, and find where orders flip.

    Parameters
    ----------
    plan : Plan or None
        Of the evaluation; None where its log was randomised.
    whole : Result
        The evaluation itself.
    lam : sequence of float
        Values at which bounds are tabulated.

    Returns
    -------
    Result
        Of kind "sensitivity".
    """
    lambdas = _checked(lam)
    if plan is None:
        raise StudyError(
            "These numbers rest on no propensity: every row was drawn at random, or no metric is a"
            " weighted sum over cells. There is no Lambda to ask for."
        )
    if plan.source.propensity is None:
        raise StudyError(
            "A naive evaluation has no propensity to be wrong: ask for estimator='snips' or 'dr'."
        )
    cells = weighed(plan)
    flips = [flip_of(cells, *pair) for pair in _pairs(plan.terms)]
    lines = _lines(cells, plan.terms, lambdas)
    left_out = sorted({row.metric for row in whole.rows if not _covered(row, plan.terms)})
    config = {**whole.provenance.config, "lam": list(lambdas)}
    return Result(
        kind="sensitivity",
        title=f"{whole.title}: how wrong propensities would overturn it",
        question="How wrong would the odds of being recorded have to be for the order of the models"
        " to flip?",
        answer=_answer(flips, plan.level),
        rows=tuple(row for flip in flips for row in _rows(flip, plan.level)),
        tables=(
            *([_order_table(flips, plan.level)] if flips else []),
            _bounds_table(lines, plan.level),
            *([_curve(lines, flips[0].label, plan.level)] if flips else []),
        ),
        assumptions=(_model(flips),),
        notes=_notes(plan, left_out),
        graph_dot=whole.graph_dot,
        adjustment=whole.adjustment,
        provenance=whole.provenance.model_copy(update={"config": config}),
    )


def _checked(lam: Sequence[float]) -> tuple[float, ...]:
    for value in lam:
        if not (math.isfinite(value) and value >= 1.0):
            raise StudyError(
                f"lam={value!r} must be at least 1: it is the factor by which the odds of being"
                " recorded may be wrong, and 1 takes them as right."
            )
    return tuple(sorted({1.0, *map(float, lam)}))


def weighed(plan: Plan) -> Weighed:
    """Collect the recorded cells of the population, with the values of every term.

    Parameters
    ----------
    plan : Plan
        With a propensity.
    """
    coverage = Coverage()
    parts = [
        block.take(block.observed & block.member)
        for block in replace(plan.source, every_cell=False).blocks(coverage)
    ]
    outcome = np.concatenate([part.outcome for part in parts])
    values: dict[tuple[str, str], FloatArray] = {}
    weight: dict[str, FloatArray] = {}
    for term in plan.terms:
        found = np.concatenate([term.value(part, part.outcome) for part in parts])
        base = term.base(outcome)
        weight[term.metric] = np.ones(len(found)) if base is None else base
        if base is not None:
            found = np.divide(found, base, out=np.zeros_like(found), where=base > 0)
        elif term.per_user:
            found = found * coverage.cells_a_user()
        values[term.metric, term.model] = found
    return Weighed(
        np.concatenate([part.users for part in parts]),
        np.concatenate([part.items for part in parts]),
        np.concatenate([part.propensity for part in parts]),
        values,
        weight,
        plan.sampled or ("user", "item"),
        plan.level,
    )


def _pairs(terms: Sequence[Term]) -> list[tuple[str, str, str]]:
    models: dict[str, list[str]] = {}
    for term in terms:
        models.setdefault(term.metric, []).append(term.model)
    return [
        (metric, first, second)
        for metric, names in models.items()
        for first, second in combinations(names, 2)
    ]


def flip_of(cells: Weighed, metric: str, first: str, second: str) -> Flip:
    """Find the Lambda at which a difference, and its interval, reach zero.

    Parameters
    ----------
    cells : Weighed
    metric, first, second : str
    """
    from scipy.optimize import brentq

    h = cells.values[metric, first] - cells.values[metric, second]
    label = f"{metric}: {first} - {second}"
    plain = cells.bounds(h, metric, 1.0, label)
    value, (lower, upper) = float(plain.lower[0]), plain.interval(cells.level)[0].tolist()
    reached = smallest_lambda(
        h, cells.propensity, np.ones(len(h)), 0.0, row_weight=cells.row_weight[metric],
        largest=LARGEST,
    )  # fmt: skip

    def short_of_zero(log_lam: float) -> float:
        ends = cells.bounds(h, metric, float(np.exp(log_lam)), label).interval(cells.level)[0]
        return float(ends[0] if value > 0 else -ends[1])

    if not (math.isfinite(lower) and math.isfinite(upper)):
        interval = math.nan
    elif lower <= 0.0 <= upper:
        interval = 1.0
    else:
        end = float(np.log(min(reached, LARGEST)))
        far = short_of_zero(end) > 0.0
        interval = (
            math.inf if far else float(np.exp(brentq(short_of_zero, 0.0, end, xtol=TOLERANCE)))
        )
    return Flip(metric, first, second, value, lower, upper, reached, interval)


def _lines(
    cells: Weighed, terms: Sequence[Term], lambdas: Sequence[float]
) -> list[tuple[str, str, float, Bounds]]:
    """Return (metric, model or pair, Lambda, bounds) of every model and pair at every Lambda."""
    named = [(term.metric, term.model, cells.values[term.metric, term.model]) for term in terms]
    named += [
        (metric, f"{first} - {second}", cells.values[metric, first] - cells.values[metric, second])
        for metric, first, second in _pairs(terms)
    ]
    return [
        (metric, name, lam, cells.bounds(h, metric, lam, f"{metric}: {name}"))
        for metric, name, h in named
        for lam in lambdas
    ]


def _covered(row: Row, terms: Sequence[Term]) -> bool:
    metric = row.metric.removeprefix("difference of ").split(", ")[0]
    return any(term.metric == metric for term in terms)


def _rows(flip: Flip, level: float) -> list[Row]:
    said = (
        ("Lambda of the difference", flip.of_difference, "bounds of the difference reach zero"),
        (f"Lambda of the {level:.0%} interval", flip.of_interval, "its interval reaches zero"),
    )
    return [
        Row(
            label=f"{flip.label}: {name}",
            value=value if math.isfinite(value) else None,
            level=level,
            metric="Lambda",
            estimator="marginal sensitivity model",
            unit="",
            status="ok" if math.isfinite(value) else "not_estimable",
            note=f"the smallest factor at which the {what}"
            if math.isfinite(value)
            else f"no factor up to {LARGEST:g} is enough"
            if math.isinf(value)
            else "too few clusters for an interval",
        )
        for name, value, what in said
    ]


def _order_table(flips: Sequence[Flip], level: float) -> Table:
    return Table(
        name="order",
        title="How wrong the propensities would have to be for the order to flip",
        columns=(
            "metric", "first", "second", "difference", "lower", "upper",
            "Lambda of the difference", "Lambda of the interval",
        ),
        rows=tuple(
            (
                flip.metric, flip.first, flip.second, flip.value,
                _finite(flip.lower), _finite(flip.upper),
                _finite(flip.of_difference), _finite(flip.of_interval),
            )
            for flip in flips
        ),
        caption=f"SNIPS differences with {level:.0%} intervals. An empty Lambda: no factor up to"
        f" {LARGEST:g} is enough. A Lambda of the interval of 1: the two cannot be told apart as"
        " it is.",
    )  # fmt: skip


def _bounds_table(lines: Sequence[tuple[str, str, float, Bounds]], level: float) -> Table:
    return Table(
        name="sensitivity bounds",
        title="Bounds of every metric and difference",
        columns=(
            "metric", "model", "Lambda", "lower bound", "upper bound", "interval from",
            "interval to",
        ),
        rows=tuple(
            (metric, name, lam, *_ends(found, level)) for metric, name, lam, found in lines
        ),
        caption=f"Sharp bounds of the self-normalised means; {level:.0%} intervals of the number"
        f" itself ({METHOD}).",
    )  # fmt: skip


def _curve(lines: Sequence[tuple[str, str, float, Bounds]], label: str, level: float) -> Table:
    rows = [
        (lam, *_ends(found, level))
        for metric, name, lam, found in lines
        if f"{metric}: {name}" == label
    ]
    return Table(
        name="difference by Lambda",
        title=f"{label}, as the odds of being recorded may be wrong",
        columns=("Lambda", "lower bound", "upper bound", "interval from", "interval to"),
        rows=tuple(rows),
        caption="The order is settled as long as all lines stay on one side of zero.",
        figure="lines",
        x="Lambda",
        y=("lower bound", "upper bound", "interval from", "interval to"),
    )


def _ends(found: Bounds, level: float) -> tuple[float | None, ...]:
    return (
        float(found.lower[0]), float(found.upper[0]), *map(_finite, found.interval(level)[0])
    )  # fmt: skip


def _finite(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None


def _model(flips: Sequence[Flip]) -> Assumption:
    smallest = min((flip.of_interval for flip in flips), default=math.nan)
    return Assumption(
        name="marginal sensitivity model",
        statement="the odds of being recorded, given covariates and outcome, are within a factor"
        " Lambda of the propensity's in every cell",
        status="untestable",
        evidence=f"the first order falls at Lambda {smallest:.2f}"
        if math.isfinite(smallest)
        else "",
    )


def _notes(plan: Plan, left_out: Sequence[str]) -> tuple[str, ...]:
    notes = [
        "The bounds are those of SNIPS with the propensities and the support of the evaluation; an"
        " outcome model narrows none of them. Each pair is bounded on the difference of its values"
        " cell by cell: one and the same error of the propensity holds for both models.",
    ]
    if not plan.sampled:
        notes.append("Bounds over these very cells have no interval: users and items are drawn.")
    if left_out:
        notes.append(f"No weighted sums over cells, so not bounded: {', '.join(left_out)}.")
    return tuple(notes)


def _answer(flips: Sequence[Flip], level: float) -> str:
    if not flips:
        return "One model has no order to flip; the table has the bounds of its metrics."
    first = flips[0]
    start = (
        f"{first.metric} of {first.first} minus that of {first.second} is"
        f" {format_cell(first.value)} [{format_cell(first.lower)}, {format_cell(first.upper)}] by"
        " SNIPS."
    )
    if first.of_interval == 1.0:
        told = " The two cannot be told apart even if the propensities are right."
    elif math.isinf(first.of_difference):
        told = f" No error of the odds of being recorded up to a factor {LARGEST:g} reverses that."
    else:
        told = (
            f" Odds of being recorded that are wrong by a factor of {first.of_difference:.2f} could"
            f" reverse the order, and the {level:.0%} interval reaches zero at"
            f" {first.of_interval:.2f}."
        )
    others = flips[1:]
    if others:
        unsettled = sum(flip.of_interval <= 1.0 for flip in others)
        weakest = min(others, key=lambda flip: flip.of_interval)
        told += f" Of {len(others)} other differences {unsettled} are not settled as it is" + (
            f"; the weakest of all is {weakest.label} ({weakest.of_interval:.2f})."
            if math.isfinite(weakest.of_interval)
            else "."
        )
    return start + told
