"""Does an answer from a biased log agree with a randomised slice, and what if it does not."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from causalrec.errors import DataError, StudyError
from causalrec.evaluation._agreement import (
    POWER,
    Agreement,
    agreement,
    agreement_answer,
    agreement_table,
    has_name,
    judged_together,
    line_of,
)
from causalrec.evaluation._engine import Sums, key
from causalrec.evaluation._mean_rows import interval_method
from causalrec.evaluation._new_users import for_new_users
from causalrec.evaluation._plan import Plan
from causalrec.evaluation._sensitivity import explaining_lambda, proved_lambda
from causalrec.evaluation._terms import ListTerm, Term
from causalrec.inference import Estimate
from causalrec.results import (
    Assumption,
    Result,
    Row,
    format_cell,
    multiplicity,
    provenance,
    rows_from_estimate,
)
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog


def compare_with_randomized(
    result: Result | Estimate,
    log: InteractionLog,
    *,
    margin: float = 0.05,
    level: float | None = None,
) -> Result:
    """Compare an answer from a biased log with the plain one from a randomised slice.

    Parameters
    ----------
    result : Result of `estimate_mean` or `evaluate`, or Estimate of one label
        The result is run again with the slice beside it, so that the difference knows that both
        speak of the same users and items; it needs the numbers and models that it holds (a
        reloaded result has none). A bare Estimate is taken as independent of the slice.
    log : InteractionLog
        A log with `randomized` rows: they are the slice. Its ids may be in another order, but
        must be known to the log of the result.
    margin : float
        Differences within it count as agreement (in the units of the answer).
    level : float, optional
        Level of the interval; default that of the result.

    Returns
    -------
    Result
        Of kind "comparison": for each number its difference to the slice with interval, a test of
        equivalence, the smallest difference that would have been found, and the Lambda of the
        marginal sensitivity model at which the bounds reach the slice's value, and at which at the
        least the interval of their difference holds zero.

    Raises
    ------
    DataError
        If the log has no randomised rows.
    ResultError
        If the result was reloaded from a file.

    Examples
    --------
    >>> import causalrec as cr
    >>> world = cr.simulate("music", n_users=300, n_items=60, density=0.2, n_randomized=1500)
    >>> p = cr.KnownPropensity(world.potential.propensity)
    >>> mean = cr.estimate_mean(world.log.selected_part(), p, estimator="snips")
    >>> compare_with_randomized(mean, world.log).rows[0].label
    'mean: snips - randomised'
    """
    slice_log = randomized_slice(log)
    if not (math.isfinite(margin) and margin > 0):
        raise StudyError(f"margin={margin!r} must be positive: what difference would not matter?")
    if isinstance(result, Estimate):
        return _of_estimate(result, slice_log, margin, level)
    plan: Plan | None = result.internal("plan")
    if plan is None:
        raise StudyError(
            "This result comes from the randomised slice itself: there is nothing to compare."
        )
    return compare_plan(plan, slice_log, margin=margin, level=level)


def randomized_slice(log: InteractionLog) -> InteractionLog:
    """Return the randomised rows of a log, or say how to mark them."""
    if log.randomized is None or not log.randomized.any():
        raise DataError(
            "The log has no randomised rows to compare with. Name the boolean column that marks"
            " them, InteractionLog(..., randomized='is_random'), or pass randomized=True for a log"
            " that is all of it uniform."
        )
    slice_log = log if log.randomized.all() else log.randomized_part()
    slice_log.require("ratings", purpose="a comparison over cells")
    return slice_log


def compare_plan(
    plan: Plan, slice_log: InteractionLog, *, margin: float, level: float | None = None
) -> Result:
    """Run a plan again with a slice beside it, and judge each of its numbers."""
    plan.source.log.require("ratings", purpose="a comparison over cells")
    if level is not None:
        plan = replace(plan, level=level)
    head = plan.estimators[0]
    kept = (head,) if head == "naive" else (head, "naive")
    plan = replace(plan, groups=plan.groups[:1]).beside(slice_log, kept)
    sums = plan.run()
    found = [_rows_of(plan, sums, term, margin) for term in plan.terms]
    judgements = judged_together([judged for _, judged in found])
    lambdas = [
        explaining_lambda(plan, term, float(sums.estimate[key(term, "randomized")]))
        for term in plan.terms
    ]
    rows = []
    for (lines_of_term, _), judged in zip(found, judgements, strict=True):
        first = lines_of_term[0].model_copy(update={"p_adjusted": judged.adjusted_p})
        rows += [first, *lines_of_term[1:]]
    proved = [
        proved_lambda(plan, term) if judged.differ else None if lam is None else 1.0
        for term, judged, lam in zip(plan.terms, judgements, lambdas, strict=True)
    ]
    lines = [
        line_of(term, judged, lam, at_least)
        for term, judged, lam, at_least in zip(plan.terms, judgements, lambdas, proved, strict=True)
    ]
    return Result(
        kind="comparison",
        title="Comparison with the randomised slice",
        question="Does the answer from the biased log agree with what was drawn at random?",
        answer=agreement_answer(plan, sums, judgements, (lambdas, proved), margin),
        rows=tuple(rows),
        tables=(agreement_table(lines, margin),),
        assumptions=(_uniform(), _held_fixed(plan)),
        family=multiplicity(len(judgements), "holm", "differences to the slice")
        if len(judgements) > 1
        else "",
        notes=(
            f"The slice has {len(slice_log.observed_cells()):,} cells, of which"
            f" {sums.weights['randomized', ''].n:,} are in the population compared.",
            *slice_log.notes,
        ),
        provenance=provenance(
            {"log": plan.source.log, "slice": slice_log}, None, {"margin": margin}
        ),
    ).with_internals(estimate=sums.estimate)


def _rows_of(plan: Plan, sums: Sums, term: Term, margin: float) -> tuple[list[Row], Agreement]:
    """Return the difference first, then slice, answer and naive, then naive's difference."""
    name = f"{term.model}: {term.metric}" if has_name(term) else term.metric
    joint = for_new_users(sums.estimate) if isinstance(term, ListTerm) else sums.estimate
    differences, values = [], []
    for estimator in plan.estimators:
        word = "randomised" if estimator == "randomized" else estimator
        one = joint[key(term, estimator)].relabel([f"{name}: {word}"])
        n = sums.weights[estimator, ""].n
        values.append(_described(one, plan, term.metric, word, null=None, n=n))
        if estimator == "randomized":
            continue
        gap = joint.difference(
            key(term, estimator), key(term, "randomized"), f"{name}: {estimator} - randomised"
        )
        row = _described(
            gap, plan, f"difference of {term.metric}", f"{estimator} - randomised", null=0.0
        )
        parents = (f"{name}: {estimator}", f"{name}: randomised")
        differences.append((gap, row.model_copy(update={"derived_from": parents})))
    judged = agreement(differences[0][0], margin, plan.level)
    first, *others = [row for _, row in differences]
    return [first, values[-1], *values[:-1], *others], judged


def _described(
    estimate: Estimate,
    plan: Plan,
    metric: str,
    estimator: str,
    *,
    null: float | None,
    n: int | None = None,
) -> Row:
    (row,) = rows_from_estimate(
        estimate,
        metric=metric,
        population="cells of the population compared",
        estimator=estimator,
        level=plan.level,
        null=null,
        n=None if n is None else {estimate.labels[0]: n},
        interval_method=interval_method(estimate.sampled),
    )
    return row


def _uniform() -> Assumption:
    return Assumption(
        name="randomised slice",
        statement="the cells of the slice were drawn at random, each eligible cell alike",
        status="by design",
    )


def _held_fixed(plan: Plan) -> Assumption:
    head = plan.estimators[0]
    what = "propensities are" if head in {"ips", "snips"} else "nuisances are"
    return Assumption(
        name="nuisances held fixed",
        statement=f"the {what} taken as known; the difference is clustered by"
        f" {' and '.join(plan.sampled) or 'nothing (these very cells)'}, jointly for both",
        status="by design",
    )


def _of_estimate(
    estimate: Estimate, slice_log: InteractionLog, margin: float, level: float | None
) -> Result:
    """Compare a bare estimate, taken as independent of the slice."""
    from scipy import stats

    if len(estimate) != 1:
        raise StudyError(f"Choose one of the labels {estimate.labels}: estimate[label].")
    chosen = estimate.level if level is None else level
    cells = slice_log.observed_cells()
    clusters = {"user": cells.users, "item": cells.items}
    plain = Estimate.from_score(Score(cells.outcome), clusters=clusters, labels=["randomised"])
    gap = float(estimate) - float(plain)
    error = math.hypot(float(estimate.standard_error[0]), float(plain.standard_error[0]))
    half = stats.norm.ppf(0.5 + chosen / 2) * error
    p_value = 2.0 * stats.norm.sf(abs(gap) / error)
    tost = max(stats.norm.sf((margin - gap) / error), stats.norm.sf((gap + margin) / error))
    verdict = "differ" if abs(gap) > half else "cannot be told apart"
    label = f"{estimate.labels[0]} - randomised"
    row = Row(
        label=label,
        metric="difference of mean",
        value=gap,
        standard_error=error,
        lower=gap - half,
        upper=gap + half,
        level=chosen,
        p_value=float(p_value),
        n=len(cells),
        estimator=estimate.estimator,
        interval_method="normal, the two taken as independent",
    )
    detectable = half + stats.norm.ppf(POWER) * error
    line = (label, "", gap, gap - half, gap + half, float(tost), float(detectable), None, None)
    return Result(
        kind="comparison",
        title="Comparison with the randomised slice",
        answer=f"The estimate is {float(estimate):.4g}, the randomised slice gives"
        f" {float(plain):.4g}; they {verdict}: {format_cell(gap)} [{format_cell(gap - half)},"
        f" {format_cell(gap + half)}].",
        rows=(row,),
        tables=(agreement_table([line], margin),),
        assumptions=(_uniform(),),
        notes=(
            "A bare estimate carries no cells: no covariance with the slice was used. Where both"
            " speak of the same users and items, the test rejects too seldom.",
        ),
        provenance=provenance(slice_log, None, {"margin": margin}),
    )
