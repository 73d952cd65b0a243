"""An effect in words: the answer, what it rests on, and what was counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from causalrec.effects._question import BY_ECONML, DR_BY_ECONML
from causalrec.results import Assumption, Row, format_cell

if TYPE_CHECKING:
    from causalrec.effects._question import Question
    from causalrec.effects._scores import Computation
    from causalrec.graph import Estimand

_WORDS = {
    "ate": "{cause} changes {outcome} by {amount} a row on average",
    "att": "Where it happened, {cause} changed {outcome} by {amount} a row on average",
    "atu": "Where it did not happen, {cause} would have changed {outcome} by {amount} a row"
    " on average",
    "overlap": "{cause} changes {outcome} by {amount} a row on average where both arms are"
    " likely (rows weighted by p (1 - p))",
}

_ONE_MODEL = {
    "econml": "One model of the outcome, the covariates and the exposure",
    "dr-learner": "One model of the outcome, the covariates and the exposure",
    "causal-forest-dml": "The model of outcome and covariates, and the forest's of effects,",
    "linear-dml": "One model of the outcome and the covariates, whatever the exposure,",
}


def amount(row: Row) -> str:
    """Return a value with its interval.

    Examples
    --------
    >>> amount(Row(label="dr", value=0.08, lower=0.05, upper=0.11))
    '0.08 (95% interval 0.05 to 0.11)'
    """
    if row.value is None:
        return "an unknown amount"
    if row.lower is None or row.upper is None:
        return f"{format_cell(row.value)} (no interval: too few clusters)"
    ends = f"{format_cell(row.lower)} to {format_cell(row.upper)}"
    return f"{format_cell(row.value)} ({row.level:.0%} interval {ends})"


def capital(words: str) -> str:
    """Return words that may begin a sentence.

    Examples
    --------
    >>> capital("position 1")
    'Position 1'
    """
    return words[:1].upper() + words[1:]


def format_amount(row: Row) -> str:
    """Return a value without its interval."""
    return "an unknown amount" if row.value is None else format_cell(row.value)


def interval_method(sampled: Sequence[str]) -> str:
    """Return how the intervals were made.

    Examples
    --------
    >>> interval_method(("user", "item"))
    't, clustered by user and item'
    """
    if not sampled:
        return "normal, over these very rows (Neyman's, conservative)"
    return f"t, clustered by {' and '.join(sampled)}"


def answer(computation: Computation, rows: Sequence[Row], outcome: str) -> str:
    """Return the answer: the effect, its interval, whom it speaks of, and the naive number."""
    effect, naive, gap = rows[:3]
    clusters = ", ".join(f"{count:,} {name}s" for name, count in effect.clusters.items())
    question = computation.question
    begins = question.estimand in {"ate", "overlap"}
    cause = question.cause
    sentence = _WORDS[question.estimand].format(
        cause=capital(cause) if begins else cause, outcome=outcome, amount=amount(effect)
    )
    return (
        f"{sentence}, by {effect.estimator} over {effect.n:,} {effect.population}"
        f"{f' ({clusters})' if clusters else ''}. The observed means differ by {amount(naive)};"
        f" the difference between the two is {amount(gap)}, which is not called bias: only a"
        " randomised comparison could say so."
    )


def assumptions(
    computation: Computation, identified: Estimand, checked: Sequence[Assumption]
) -> tuple[Assumption, ...]:
    """Return what the effect rests on, each with its status; `checked` are those of balance."""
    return (
        *Assumption.each(identified.assumptions),
        *what_exposure_means(computation.question),
        _overlap(computation),
        *checked,
        *_nuisances(computation),
        sampled_words(computation.question.sampled),
    )


def what_exposure_means(question: Question) -> tuple[Assumption, ...]:
    """Return what is assumed of the exposure itself: whom it touches, and that it is one thing."""
    if question.levels:
        return _of_levels(question.column)
    return (
        Assumption(
            name="no interference between items of a slate",
            statement="Showing an item changes its own outcome only, not that of its neighbours.",
            status="untestable",
            evidence="A randomised slate, or simulate('shop', interference=...), shows what it"
            " would do.",
        ),
        Assumption(
            name="not a policy effect",
            statement="This is the effect of one item's exposure with the rest of the slate as it"
            " was. A policy moves many items at once, and what a slot adds to its item it may take"
            " from the neighbours: do not multiply it up. Ask policy_value, or a randomised arm.",
            status="by design",
        ),
        Assumption(
            name="consistency",
            statement="Being exposed means the same thing in every exposed row, and the outcome is"
            " counted in one window in both arms.",
            status="untestable",
        ),
    )


def _of_levels(column: str) -> tuple[Assumption, ...]:
    return (
        Assumption(
            name="no interference between rows",
            statement=f"The {column!r} of a row changes that row's outcome only, not that of other"
            " rows (of its slate, of its user).",
            status="untestable",
        ),
        Assumption(
            name="not a policy effect",
            statement=f"One row's {column!r} is changed and the others stay. A policy changes many"
            " rows at once (what moves up moves something else down): ask policy_value. Where"
            f" {column!r} was drawn for whole users, other rows of the user moved along, and the"
            " effect is that of the experiment.",
            status="by design",
        ),
        Assumption(
            name="consistency",
            statement=f"A value of {column!r} means the same thing in every row, and the outcome is"
            " counted in one window at each.",
            status="untestable",
        ),
    )


def _overlap(computation: Computation) -> Assumption:
    population = computation.population
    p, floor = computation.nuisances.propensity, computation.question.floor
    share = population.support.share_unsupported
    return Assumption(
        name="overlap",
        statement="Every row that the effect speaks of could have been in either arm (propensity"
        f" within [{floor:g}, {1 - floor:g}]).",
        status="tested",
        evidence=f"{share:.2%} of {population.log.n_rows:,} rows could not and are set aside; in"
        f" the others the propensity lies between {p.min():.3g} and {p.max():.3g}.",
    )


def _nuisances(computation: Computation) -> list[Assumption]:
    question, found = computation.question, computation.nuisances
    both = question.estimator in {"dr", *DR_BY_ECONML}
    spared = both or question.estimator == "linear-dml"
    parts = []
    if question.uses_propensity:
        given = computation.population.template is None
        notes = " ".join(computation.population.propensity.notes_)
        parts.append(
            Assumption(
                name="right propensities",
                statement=f"The probabilities of exposure are right ({_source(computation)})."
                f" {notes}".strip(),
                status="untestable",
                evidence=f"{'Not needed where the outcome models are right. ' if both else ''}"
                f"{error_words('propensity', found.has('propensity'), given)}",
            )
        )
    if question.uses_outcome_model or question.estimator in BY_ECONML:
        parts.append(
            Assumption(
                name="right outcome models",
                statement="One model of the outcome and the covariates in each arm is right."
                if question.uses_outcome_model
                else f"{_ONE_MODEL[question.estimator]} is right.",
                status="untestable",
                evidence=f"{'Not needed where the propensities are right. ' if spared else ''}"
                f"{error_words('outcome', found.has('exposed'), False)}",
            )
        )
    return parts


def _source(computation: Computation) -> str:
    if computation.population.template is None:
        return "given"
    return f"estimated, cross-fitted over {computation.question.n_folds} folds of users"


def error_words(what: str, stacked: bool, given: bool) -> str:
    """Return whether the error of a nuisance is in the interval."""
    if stacked:
        return f"The error of the {what} model is part of the interval."
    if what == "propensity":
        return f"The interval takes them as known{'' if given else ', though they are estimated'}."
    return "The interval takes the outcome model as known."


def sampled_words(sampled: Sequence[str]) -> Assumption:
    """Return what the interval treats as drawn."""
    words = {
        ("user", "item"): "new users and new items like these",
        ("user",): "new users of this catalogue",
        ("item",): "new items for these users",
        (): "these very rows: only who was exposed is random",
    }
    found = words.get(tuple(sampled), f"new {' and '.join(sampled)} clusters")
    return Assumption(
        name="what was sampled",
        statement=f"The interval speaks of {found} ({interval_method(sampled)}).",
        status="by design",
    )


def weighting_words(question: Question, weights: NDArray[np.float64] | None) -> tuple[str, ...]:
    """Return what the row weights do, with how many rows they are worth (Kish)."""
    if weights is None:
        return ()
    uncounted = f" {question.uncounted:,} rows of weight 0 are left out." * bool(question.uncounted)
    worth = float(weights.sum()) ** 2 / float((weights**2).sum())
    return (
        f"The rows are weighted by {question.weighting}: the effect is that on the population the"
        f" weights make of them.{uncounted} {len(weights):,} supported rows are worth"
        f" {worth:,.0f} of equal weight. Naive numbers are weighted too; the overlap and balance"
        " tables are not.",
    )


def notes(computation: Computation, spread: Sequence[float]) -> tuple[str, ...]:
    """Return what was set aside or clipped, and how much the folds matter."""
    question, population = computation.question, computation.population
    found = [
        f"Support was decided once, at a floor of {question.floor:g}"
        f" ({population.support.hash[:12]}): {population.n_set_aside:,} of"
        f" {population.log.n_rows:,} rows are set aside.",
        *computation.nuisances.notes,
        *weighting_words(question, population.weights),
    ]
    if len(spread) > 1:
        found.append(spread_words(spread))
    if question.clip is not None:
        found.append(clip_words(computation.nuisances.n_clipped, question.clip))
    return tuple(found)


def spread_words(spread: Sequence[float]) -> str:
    """Return how much the deal of the folds moves the estimate."""
    return (
        f"{len(spread)} repeats with other folds gave {format_cell(min(spread))} to"
        f" {format_cell(max(spread))}; the one with the median is reported whole."
    )


def clip_words(n_clipped: int, clip: float) -> str:
    """Return how many propensities were clipped, and what that does."""
    return (
        f"{n_clipped:,} propensities were brought into [{clip:g}, {1 - clip:g}], which biases"
        " towards the naive number."
    )
