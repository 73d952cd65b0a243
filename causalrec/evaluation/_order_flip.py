"""How wrong the propensities would have to be for the order of two models to flip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from causalrec.errors import StudyError
from causalrec.evaluation._cells import Coverage
from causalrec.evaluation._order_tables import (
    LARGEST,
    Flip,
    bounds_table,
    curve_table,
    flip_rows,
    order_table,
)
from causalrec.evaluation._plan import Plan
from causalrec.evaluation._recommenders import Codes, FloatArray
from causalrec.evaluation._terms import ListTerm, Term
from causalrec.inference import Bounds, marginal_sensitivity_bounds, smallest_lambda
from causalrec.results import Assumption, Result, Row, format_cell

TOLERANCE = 1e-3
"""On the logarithm of Lambda, where the end of an interval is sought."""


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
    sampled : mapping of metric to tuple of str
        What its interval treats as drawn: of lists, users alone, as in `evaluate`.
    level : float
    """

    users: Codes
    items: Codes
    propensity: FloatArray
    values: dict[tuple[str, str], FloatArray]
    row_weight: dict[str, FloatArray]
    sampled: dict[str, tuple[str, ...]]
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
            sampled=self.sampled[metric],
            level=self.level,
            one_row_per_cell=True,
        )


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
        rows=tuple(row for flip in flips for row in flip_rows(flip, plan.level)),
        tables=(
            *([order_table(flips, plan.level)] if flips else []),
            bounds_table(lines, plan.level),
            *([curve_table(lines, flips[0].label, plan.level)] if flips else []),
        ),
        assumptions=(_model(flips),),
        notes=_notes(plan, left_out),
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
    sampled: dict[str, tuple[str, ...]] = {}
    for term in plan.terms:
        found = np.concatenate([term.value(part, part.outcome) for part in parts])
        base = term.base(outcome)
        weight[term.metric] = np.ones(len(found)) if base is None else base
        if base is not None:
            found = np.divide(found, base, out=np.zeros_like(found), where=base > 0)
        elif term.per_user:
            found = found * coverage.cells_a_user()
        values[term.metric, term.model] = found
        drawn = plan.sampled or ("user", "item")
        of_users = isinstance(term, ListTerm) and len(drawn) == 2
        sampled[term.metric] = ("user",) if of_users else drawn
    return Weighed(
        np.concatenate([part.users for part in parts]),
        np.concatenate([part.items for part in parts]),
        np.concatenate([part.propensity for part in parts]),
        values,
        weight,
        sampled,
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


def _model(flips: Sequence[Flip]) -> Assumption:
    smallest = min((flip.of_interval for flip in flips), default=math.nan)
    return Assumption(
        name="marginal sensitivity model",
        statement="the odds of being recorded, given covariates and outcome, are within a factor"
        " Lambda of the propensity's in every cell",
        status="untestable",
        evidence=f"an order falls at Lambda {smallest:.2f}" if math.isfinite(smallest) else "",
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
