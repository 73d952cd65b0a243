"""From the computation of several levels to a result: rows, the curve, assumptions, words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from causalrec.effects import _words
from causalrec.effects._contrast_result import ContrastResult, no_verb, simultaneous
from causalrec.effects._level_tables import level_tables, unbalanced_words
from causalrec.effects._write import config_of, naive_population, question_of, title_of
from causalrec.inference import Estimate
from causalrec.results import (
    Assumption,
    Row,
    multiplicity,
    provenance,
    rows_from_estimate,
)

if TYPE_CHECKING:
    from causalrec.effects._levels import LevelComputation
    from causalrec.effects._question import Question
    from causalrec.graph import Estimand


def write_levels(
    computation: LevelComputation, identified: Estimand, spread: Sequence[float]
) -> ContrastResult:
    """Return the result: the first level against each of the others, and the curve."""
    question, population = computation.question, computation.population
    joint = computation.joint()
    effects = _effects(joint, computation)
    rows = _rows(effects, question)
    outcome = str(population.log.columns.outcome)
    several = len(question.levels) > 2
    result = ContrastResult(
        kind="effect",
        title=title_of(question, outcome),
        question=question_of(question, outcome),
        answer=_answer(rows, computation, outcome),
        rows=rows,
        tables=level_tables(computation, joint, spread),
        assumptions=_assumptions(computation, identified),
        notes=(identified.words, *_notes(computation, spread)),
        family=multiplicity(len(question.levels) - 1, "holm", "contrasts")
        + " Their intervals are simultaneous (sup-t)."
        if several
        else "",
        graph_dot=identified.graph_dot,
        adjustment=identified.adjustment,
        provenance=provenance(population.log, question.random_state, config_of(question)),
    )
    result._internals = {
        "estimate": effects,
        "levels": joint,
        "why": no_verb(
            f"The effect is an average over rows at other values of {question.column!r} too",
            "Keep the rows at two values (log.select) and ask again: every verb works there; the"
            ' effect is that on these rows. estimand="overlap" has sensitivity and refute too.',
        ),
    }
    if not several:
        result._internals["by"] = computation
    return result


def labels_of(question: Question) -> tuple[str, ...]:
    """Return what the effects are called: the estimator where there is one, else the levels."""
    if len(question.levels) == 2:
        return (question.estimator,)
    first, *others = question.levels
    return tuple(f"{question.column} {first} - {other}" for other in others)


def _effects(joint: Estimate, computation: LevelComputation) -> Estimate:
    """Return the effects, the naive differences, and the latter minus the former."""
    count, labels = len(computation.contrast.levels), labels_of(computation.question)
    apart = np.column_stack([np.ones(count - 1), -np.eye(count - 1)])
    nothing = np.zeros_like(apart)
    matrix = np.block([[apart, nothing], [nothing, apart], [-apart, apart]])
    name = computation.question.estimator
    if count == 2:
        return joint.contrast(matrix, labels=[name, "naive", f"naive - {name}"])
    naive = [f"{label} (naive)" for label in labels]
    gaps = [f"{label} (naive - {name})" for label in labels]
    return joint.contrast(matrix, labels=[*labels, *naive, *gaps])


def _rows(effects: Estimate, question: Question) -> tuple[Row, ...]:
    count = len(question.levels) - 1
    own, naive, gaps = (effects.labels[at * count : (at + 1) * count] for at in range(3))
    method = _words.interval_method(question.sampled)
    common: dict[str, Any] = {
        "metric": question.metric, "unit": "rows", "level": question.level,
    }  # fmt: skip
    adjusted: dict[str, float] | None = None
    if count > 1:
        holm = effects[own].correct_for_multiplicity("holm").tolist()
        adjusted = dict(zip(own, holm, strict=True))
    first = rows_from_estimate(
        effects[own], population=effects.population, estimator=question.estimator,
        p_adjusted=adjusted,
        interval_method=f"simultaneous (sup-t), {method}" if count > 1 else method, **common,
    )  # fmt: skip
    if count > 1:
        first = simultaneous(first, effects[own].simultaneous_interval(question.level))
    observed = rows_from_estimate(
        effects[naive], population=naive_population(question), estimator="naive",
        interval_method=method, **common,
    )  # fmt: skip
    apart = rows_from_estimate(
        effects[gaps], population=effects.population, estimator=f"naive - {question.estimator}",
        derived_from={
            gap: pair for gap, *pair in zip(gaps, own, naive, strict=True)
        },
        interval_method=method, **common,
    )  # fmt: skip
    return (*first, *observed, *apart)


def _answer(rows: Sequence[Row], computation: LevelComputation, outcome: str) -> str:
    question = computation.question
    count = len(question.levels) - 1
    effect, naive, gap = rows[0], rows[count], rows[2 * count]
    clusters = ", ".join(f"{number:,} {name}s" for name, number in effect.clusters.items())
    over = f"by {effect.estimator} over {effect.n:,} {effect.population}" + (
        f" ({clusters})" if clusters else ""
    )
    if count == 1:
        return (
            f"{_words.capital(question.cause)} changes {outcome} by {_words.amount(effect)} a row"
            f" on average, {over}. The observed means differ by {_words.amount(naive)}; the"
            f" difference between the two is {_words.amount(gap)}, which is not called bias: only"
            " a randomised comparison could say so."
        )
    first, *others = question.levels
    parts = "; ".join(
        f"by {_words.amount(row)} against {other} (the observed means differ by"
        f" {_words.format_amount(seen)})"
        for other, row, seen in zip(others, rows[:count], rows[count : 2 * count], strict=True)
    )
    return (
        f"{_words.capital(question.column)} {first} changes {outcome}, a row on average, {parts};"
        f" {over}. The {count} intervals hold together (simultaneous); the differences between"
        " observed and adjusted are not called bias: only a randomised comparison could say so."
    )


def _assumptions(computation: LevelComputation, identified: Estimand) -> tuple[Assumption, ...]:
    question, population = computation.question, computation.population
    share = population.n_set_aside / population.log.n_rows
    lowest = float(computation.nuisances.propensity.min())
    overlap = Assumption(
        name="overlap",
        statement="Every row that the effect speaks of could have been at each value compared"
        f" (propensity of at least {question.floor:g}).",
        status="tested",
        evidence=f"{share:.2%} of {population.log.n_rows:,} rows could not and are set aside; in"
        f" the others the smallest propensity is {lowest:.3g}.",
    )
    return (
        *Assumption.each(identified.assumptions),
        *_words.what_exposure_means(question),
        overlap,
        *unbalanced_words(computation),
        *_nuisances(computation),
        _words.sampled_words(question.sampled),
    )


def _nuisances(computation: LevelComputation) -> list[Assumption]:
    question, found = computation.question, computation.nuisances
    population = computation.population
    both = question.estimator == "dr"
    parts = []
    if question.uses_propensity:
        given, jointly = population.template is None, population.logits is not None
        form = (
            f"one multinomial logit of all values of {question.column!r}" if jointly
            else "one model a value against all others"
        )  # fmt: skip
        source = (
            "given" if given
            else f"estimated, {form}, cross-fitted over {question.n_folds} folds of users"
        )  # fmt: skip
        error = _words.error_words("propensity", found.has("propensity"), given)
        if not given and not both and not jointly:
            error += (
                " Models of one value against the others need not sum to one, and weights alone"
                " then stay biased: estimator='dr' has the outcome models as well."
            )
        parts.append(
            Assumption(
                name="right propensities",
                statement=f"The probabilities of each value of {question.column!r} are right"
                f" ({source}). {' '.join(population.notes)}".strip(),
                status="untestable",
                evidence=f"{'Not needed where the outcome models are right. ' if both else ''}"
                f"{error}",
            )
        )
    if question.uses_outcome_model:
        error = _words.error_words("outcome", found.has("exposed"), given=False)
        parts.append(
            Assumption(
                name="right outcome models",
                statement="One model of the outcome and the covariates at each value is right.",
                status="untestable",
                evidence=f"{'Not needed where the propensities are right. ' if both else ''}"
                f"{error}",
            )
        )
    return parts


def _notes(computation: LevelComputation, spread: Sequence[float]) -> tuple[str, ...]:
    question, population = computation.question, computation.population
    found = [
        f"A row counts if its propensity is at least {question.floor:g} at every value compared:"
        f" {population.n_set_aside:,} of {population.log.n_rows:,} rows are set aside. The effect"
        " is an average over all that count, whatever their value is.",
        *_words.weighting_words(question, population.weights),
    ]
    if len(spread) > 1:
        found.append(_words.spread_words(spread))
    if question.clip is not None:
        n_clipped = int((~computation.nuisances.unclipped).sum())
        found.append(_words.clip_words(n_clipped, question.clip))
    return tuple(found)
