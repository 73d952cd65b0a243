"""How large a randomised slice has to be, for which question, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from causalrec.errors import StudyError
from causalrec.evaluation._slice_cost import cost_words
from causalrec.evaluation._slice_design import Design, SliceQuestion
from causalrec.evaluation._slice_questions import Asked, rows_asked
from causalrec.evaluation._slice_tables import (
    SlicePlan,
    components_table,
    designs_table,
    plan_rows,
    precision_table,
)
from causalrec.evaluation._variance_components import variance_components, without_parts
from causalrec.results import Assumption, Result, format_cell, provenance

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

PlannedQuestion = Literal["mean", "gap", "difference", "effect", "encouragement", "position"]


def plan_randomization(
    log: InteractionLog,
    question: PlannedQuestion = "mean",
    precision: float = 0.05,
    *,
    by: str | None = None,
    groups: Sequence[Any] | None = None,
    models: Any = None,
    metric: str = "mse",
    propensity: Any = None,
    exposure_share: float = 0.5,
    positions: tuple[int, int] | None = None,
    items_per_user: int | None = None,
    sampled: Sequence[str] = ("user", "item"),
    level: float = 0.95,
    power: float = 0.8,
) -> Result:
    """Plan a randomised slice: how many users, with how many items each, at what cost.

    Parameters
    ----------
    log : InteractionLog
        Ratings, candidates, or impressions with logged propensities. The slice is to be drawn from
        its users and items; rows that are randomised already are not used, unless all are.
    question : {"mean", "gap", "difference", "effect", "encouragement", "position"}
        What the slice is to answer: a mean outcome; the gap in it between two groups (on candidates
        the gap in the effect); the difference of two models' losses; the effect of exposure, drawn
        row by row, or by an arm that makes it likelier (the log is the pilot: two arms); the
        outcome at one position minus that at another, exchanged by a coin.
    precision : float
        Half the width of the confidence interval that the slice is to give, in the units of the
        answer.
    by : str, optional
        For "gap": a column of users or items.
    groups : pair, optional
        Two of its levels, the second subtracted. Default: the two with most rows, in order.
    models : dict of two, optional
        For "difference": as in `evaluate`.
    metric : str
        For "difference": "mse", "mae" or "log-loss".
    propensity : Propensity, array, column name or float, optional
        As in `evaluate`: what the log's rows are weighted by to look like the slice.
    exposure_share : float
        On candidates, the share that the slice is to expose, or to encourage.
    positions : pair of int, optional
        For "position".
    items_per_user : int, optional
        Default: as few as the users of the log allow, which takes the fewest cells.
    sampled : tuple
        What the slice's interval is to treat as drawn: ("user", "item") or ("user",).
    level : float
        Level of the interval.
    power : float
        For the smallest difference that the slice would find.

    Returns
    -------
    Result
        Of kind "randomization_plan". Rows: cells, users, items a user, the design effect, and what
        a cell and the whole slice cost. Tables: "designs" (one for each number of items a user),
        "precision" (sizes against half width and detectable difference), "components".

    Raises
    ------
    StudyError
        If options do not go together, or no slice of this catalogue is as precise.

    Notes
    -----
    The value of a cell, h = mu + a_user + b_item + e, has its three variances estimated from pairs
    of rows of the log, weighted by 1/p. A mean over U users with r items each, of M, then has
    variance var(a) / U + var(b) (1 / M + (1 - r / M) / (U r)) + var(e) / (U r), and the interval is
    Student's as `Estimate.interval` has it. The *cost* is the mean outcome under the log's policy
    minus that under the random one, both with their clusters. The interval of the size is a
    jackknife's over 20 parts of the users and of the items.

    Examples
    --------
    >>> import causalrec as cr
    >>> world = cr.simulate("music", n_users=400, n_items=100, density=0.2, random_state=0)
    >>> p = cr.KnownPropensity(world.potential.propensity)
    >>> plan = plan_randomization(world.log, "mean", 0.1, propensity=p, sampled=("user",))
    >>> plan["cells of the slice"].value > plan["users of the slice"].value > 100
    True
    """
    chosen = _checked(log, question, precision, sampled, level, power, items_per_user)
    rows = rows_asked(
        log,
        Asked(question, by, groups, models, metric, propensity, exposure_share, positions, chosen,
              level),
    )  # fmt: skip
    most = max(min(log.n_items, log.n_eligible // max(log.n_users, 1)), 1)
    if items_per_user is not None and items_per_user > most:
        raise StudyError(
            f"items_per_user={items_per_user}: a user of this log has {most} eligible items."
        )

    def asking(components: Any) -> SliceQuestion:
        return SliceQuestion(components, log.n_items, chosen, level, power, rows.balance)

    data = (rows.value, rows.weight, rows.users, rows.items)
    ready = asking(variance_components(*data))
    best = _best(ready, precision, log.n_users, most, items_per_user)
    if best is None:
        raise _too_precise(ready, precision, most, log.n_users)
    error = _error_of_size([
        [asking(part) for part in parts] for parts in without_parts(*data)
    ], precision, best)  # fmt: skip
    plan = SlicePlan(rows, ready, best, precision, error, rows.cost, log.n_users)
    return Result(
        kind="randomization_plan",
        title=f"A randomised slice for {rows.words}",
        question=f"How large must a randomised slice be for {rows.words} to be known to within"
        f" {precision:g}, and what does it cost?",
        answer=_answer(plan),
        rows=plan_rows(plan),
        tables=(precision_table(plan), designs_table(plan, most), components_table(plan)),
        assumptions=_assumptions(plan),
        notes=rows.notes,
        provenance=provenance(
            log,
            None,
            {
                "question": question, "precision": precision, "by": by, "metric": metric,
                "exposure_share": exposure_share,
                "positions": None if positions is None else list(positions),
                "items_per_user": items_per_user,
                "sampled": list(chosen), "level": level, "power": power,
            },
        ),
    )  # fmt: skip


def _checked(
    log: InteractionLog,
    question: str,
    precision: float,
    sampled: Sequence[str],
    level: float,
    power: float,
    items_per_user: int | None,
) -> tuple[str, ...]:
    log.require("ratings", "candidates", "impressions", purpose="a plan of a randomised slice")
    if log.kind == "impressions" and question != "position":
        log.require_fields(
            "logging_propensity", purpose="weighting impressions to what chance would show"
        )
    if not (math.isfinite(precision) and precision > 0):
        raise StudyError(f"precision={precision!r} must be positive: half an interval's width.")
    for name, share in (("level", level), ("power", power)):
        if not 0.5 <= share < 1.0:
            raise StudyError(f"{name}={share!r} must lie in [0.5, 1).")
    if items_per_user is not None and items_per_user < 1:
        raise StudyError(f"items_per_user={items_per_user!r} must be at least 1.")
    chosen = (sampled,) if isinstance(sampled, str) else tuple(sampled)
    if chosen not in {("user", "item"), ("user",)}:
        raise StudyError(
            f"sampled={chosen!r} means nothing here: ('user', 'item') for new users and items, or"
            " ('user',) for new users of this catalogue."
        )
    return chosen


def _best(
    ready: SliceQuestion, precision: float, users: int, most: int, each: int | None
) -> Design | None:
    if each is not None:
        return ready.needed(precision, each)
    return ready.best(precision, users, most)


def _too_precise(ready: SliceQuestion, precision: float, most: int, users: int) -> StudyError:
    widest = ready.at(users, most).half_width
    return StudyError(
        f"No slice of these {ready.catalogue:,} items knows this to within {precision:g} for new"
        f" items: all {users:,} users with {most} items each give"
        f" {format_cell(widest)}, because the items themselves differ. Ask for a wider interval, or"
        " speak of new users of this catalogue: sampled=('user',)."
    )


def _error_of_size(
    parts: Sequence[Sequence[SliceQuestion]], precision: float, best: Design
) -> float:
    """Return the jackknife's standard error of the logarithm of the cells."""
    variance = 0.0
    for questions in parts:
        found = [question.needed(precision, best.items_per_user) for question in questions]
        if any(design is None for design in found) or len(found) < 2:
            return math.nan
        logs = np.log([design.users for design in found if design is not None])
        variance += (len(logs) - 1) / len(logs) * float(np.square(logs - logs.mean()).sum())
    return math.sqrt(variance)


def _answer(plan: SlicePlan) -> str:
    best = plan.best
    said = (
        f"{best.cells:,} {plan.rows.unit} drawn at random ({best.users:,} users with"
        f" {best.items_per_user} item{'s' if best.items_per_user > 1 else ''} each) give"
        f" {plan.rows.words} to within {plan.precision:g} ({plan.ready.level:.0%} interval), and"
        f" find a difference of {format_cell(best.detectable)} with probability"
        f" {plan.ready.power:g}. Were rows independent, {best.independent:,} would do."
    )
    if best.users > plan.users:
        said += f" That is more than the {plan.users:,} users of the log."
    return said + cost_words(plan.cost, best.cells, plan.rows.unit)


def _assumptions(plan: SlicePlan) -> tuple[Assumption, ...]:
    found: list[tuple[str, str, Any]] = [
        (
            "variances carry over",
            "users, items and noise vary in the slice as they do in the log, weighted to a random"
            " design by the propensity",
            "by design" if plan.rows.drawn else "untestable",
        ),
        (
            "every outcome is recorded",
            f"each of the {plan.rows.unit} drawn yields an outcome; where only a share does, divide"
            " by it, and mind who answers",
            "untestable",
        ),
    ]
    if plan.cost is not None:
        found.append((
            "the cost is the outcome's",
            "what is lost is the mean outcome under the log's policy minus that under the random"
            " one; later consequences are not counted",
            "untestable",
        ))  # fmt: skip
    return Assumption.each(found)
