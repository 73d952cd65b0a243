"""From a computation to an `EffectResult`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.effects import _words
from causalrec.effects._result import EffectResult
from causalrec.effects._sensitivity import robustness
from causalrec.effects._sensitivity_words import robustness_words
from causalrec.effects._tables import evidence_tables
from causalrec.inference import Bounds
from causalrec.nuisances import KnownPropensity, propensity_assumptions
from causalrec.results import Assumption, Row, provenance, rows_from_estimate
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.effects._question import Question
    from causalrec.effects._scores import Computation
    from causalrec.graph import Estimand
    from causalrec.inference import Estimate

ALL_ROWS = "all rows"
UNMEASURED = "no unmeasured confounding"


def write_effect(
    computation: Computation, identified: Estimand, spread: Sequence[float]
) -> EffectResult:
    """Return the result: rows, tables, assumptions and words, with the numbers beside it."""
    question, population = computation.question, computation.population
    joint = _with_difference(computation.estimate(), question.estimator)
    rows = rows_from_estimate(
        joint,
        metric=question.metric,
        population=joint.population,
        estimator=question.estimator,
        unit="rows",
        level=question.level,
        interval_method=_words.interval_method(question.sampled),
        derived_from={joint.labels[2]: joint.labels[:2]},
    )
    effect, naive, gap = rows
    rows = (
        effect,
        naive.model_copy(update={"estimator": "naive", "population": naive_population(question)}),
        gap.model_copy(update={"estimator": gap.label}),
    )
    if question.estimand == "ate" and population.n_set_aside and population.weights is None:
        rows = (*rows, _all_rows(computation))
    outcome = str(population.log.columns.outcome)
    columns = tuple(sorted({covariate.column for covariate in identified.covariates}))
    p = KnownPropensity(computation.nuisances.propensity, of="exposure")
    checked = propensity_assumptions(p, population.rows, question.floor)[1:]
    result = EffectResult(
        kind="effect",
        title=title_of(question, outcome),
        question=question_of(question, outcome),
        answer=_words.answer(computation, rows, outcome),
        rows=rows,
        tables=evidence_tables(computation, spread),
        assumptions=_with_robustness(
            _words.assumptions(computation, identified, checked), computation, columns
        ),
        notes=(identified.words, *_words.notes(computation, spread)),
        graph_dot=identified.graph_dot,
        adjustment=identified.adjustment,
        provenance=provenance(population.log, question.random_state, config_of(question)),
    )
    known = population.known(
        computation.nuisances.propensity,
        "Propensities of exposure from the estimate of an effect"
        f" ({'given' if population.template is None else 'estimated, out of fold'}).",
        population.propensity.covariates_,
    )
    result._internals = {
        "estimate": joint,
        "propensity": known,
        "computation": computation,
        "support": population.support,
        "columns": columns,
    }
    return result


def naive_population(question: Question) -> str:
    """Return whom the observed means speak of."""
    weighted = f", weighted by {question.weighting}" if question.weighting else ""
    return f"supported rows{weighted}"


def title_of(question: Question, outcome: str) -> str:
    """Return the title of an effect on an outcome."""
    return f"The {question.metric} of {question.cause}, on {outcome}"


def question_of(question: Question, outcome: str) -> str:
    """Return the question in a sentence."""
    return f"What does {question.cause} cause in {outcome} ({question.direction})?"


def _with_difference(joint: Estimate, name: str) -> Estimate:
    matrix = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0]])
    return joint.contrast(matrix, labels=[name, "naive", f"naive - {name}"])


def _with_robustness(
    listed: tuple[Assumption, ...], computation: Computation, columns: tuple[str, ...]
) -> tuple[Assumption, ...]:
    """Put the robustness value beside the claim that nothing is unmeasured."""
    unmeasured = any(one.name == UNMEASURED for one in listed)
    if not unmeasured or computation.population.weights is not None:
        return listed
    _, linear, half_width = robustness(computation, columns)
    words = robustness_words(linear, half_width, computation.question.level)
    return tuple(
        one.model_copy(update={"evidence": f"{words} More by .sensitivity()."})
        if one.name == UNMEASURED
        else one
        for one in listed
    )


def _all_rows(computation: Computation) -> Row:
    """Return the effect over all rows: bounds from the outcome's range, no point.

    Where a row could only be in one arm, its outcome in the other may be anything in the range
    (Manski 1990); the supported rows count with their estimate.
    """
    question, population = computation.question, computation.population
    log = population.log
    assert log.outcome is not None and log.exposure is not None  # noqa: PT018 - candidates
    low, high = log.outcome_range
    adjusted = computation.adjusted(computation.everybody(), 1)
    y, exposed = log.outcome, log.exposure == 1
    ends = np.column_stack(
        [np.where(exposed, y - high, low - y), np.where(exposed, y - low, high - y)]
    )
    ends[population.supported] = adjusted.numerator
    bounds = _bounds(computation, ends, f"outcome between {low:g} and {high:g}")
    lower, upper = bounds.interval(question.level)[0].tolist()
    share = population.support.share_unsupported
    source = "declared" if log.outcome_range_declared else "observed"
    known = np.isfinite(lower)
    return Row(
        label=ALL_ROWS,
        lower=lower if known else None,
        upper=upper if known else None,
        level=question.level,
        n=log.n_rows,
        population="all rows",
        estimator=f"{question.estimator} with range bounds",
        status="not_estimable",
        unit="rows",
        metric=question.metric,
        interval_method=f"Imbens and Manski (2004), {source} range {low:g} to {high:g}",
        note=f"no point: {share:.1%} of the rows could only be in one arm; bounds"
        f" {bounds.lower[0]:.3g} to {bounds.upper[0]:.3g}",
    )


def _bounds(computation: Computation, ends: Any, kind: str) -> Bounds:
    from causalrec.effects._scores import cluster_codes
    from causalrec.inference import Estimate

    question, log = computation.question, computation.population.log
    score = Score(ends)
    score = score.with_design_residual(score.numerator - score.value)
    both = Estimate.from_score(
        score,
        cluster_codes(log, question.sampled),
        ("lower", "upper"),
        sampled=question.sampled,
        level=question.level,
    )
    if question.sign < 0:
        both = (-both)[["upper", "lower"]].relabel(["lower", "upper"])
    lower, upper = (both[name].relabel([ALL_ROWS]) for name in ("lower", "upper"))
    return Bounds((ALL_ROWS,), lower, upper, kind)


def config_of(question: Question) -> dict[str, Any]:
    """Return the options as a result keeps them."""
    settled = asdict(question)
    settled["contrast"] = [1, 0] if settled.pop("sign") > 0 else [0, 1]
    settled.pop("random_state")
    column, levels = settled.pop("column"), settled.pop("levels")
    if levels:
        settled |= {"exposure": column, "contrast": list(levels)}
    if not settled["weighting"]:
        settled.pop("weighting")
    if not settled["uncounted"]:
        settled.pop("uncounted")
    return {key: list(v) if isinstance(v, tuple) else v for key, v in sorted(settled.items())}
