"""The effect on a slate's or a user's total in words: what is moved, and what is not claimed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causalrec.effects._words import amount
from causalrec.results import Assumption, format_cell, provenance

if TYPE_CHECKING:
    from causalrec.effects._result import EffectResult
    from causalrec.effects._units import Units
    from causalrec.interactions import InteractionLog

REPLACED = ("no interference", "no interference between items of a slate", "not a policy effect")
"""Assumptions of single rows, which say something else where totals are asked about."""


def on_units(result: EffectResult, units: Units, log: InteractionLog) -> EffectResult:
    """Return the result of `write_effect` in the words of its unit, with the units beside it.

    `log` is that of rows, which the provenance speaks of.
    """
    outcome, unit = str(units.log.columns.outcome), units.unit
    what = f"all rows of a {unit}" if units.whole else "one item"
    total = f"the total of {outcome} over {'them' if units.whole else f'all rows of its {unit}'}"
    direction = units.question.direction
    written = result.model_copy(
        update={
            "title": f"The {result.rows[0].metric} of exposing {what}, on {total}",
            "question": f"What does exposing {what}"
            f"{' rather than none' if units.whole else ', its neighbours as they were,'} cause in"
            f" {total} ({direction})?",
            "answer": _answer(result, units, outcome),
            "rows": tuple(
                row.model_copy(
                    update={
                        "unit": f"{unit}s" if units.whole else "rows",
                        "population": _population(row.population, units),
                    }
                )
                for row in result.rows
            ),
            "assumptions": (
                *(one for one in result.assumptions if one.name not in REPLACED),
                *_assumptions(units),
            ),
            "notes": (*result.notes, *_notes(units)),
            "provenance": provenance(
                log, units.question.random_state, {**result.provenance.config, "unit": unit}
            ),
        }
    )
    written._internals = {**result._internals, "units": units}
    return written


def _population(words: str, units: Units) -> str:
    return words.replace("rows", f"{units.unit}s") if units.whole else words


_WHOLE = {
    "ate": "Exposing all rows of a {unit} rather than none changes its total of {outcome} by"
    " {amount} a {unit} on average",
    "att": "Where all rows of a {unit} were exposed, that changed its total of {outcome} by"
    " {amount} a {unit} on average",
    "atu": "Where no row of a {unit} was exposed, exposing all would have changed its total of"
    " {outcome} by {amount} a {unit} on average",
    "overlap": "Exposing all rows of a {unit} rather than none changes its total of {outcome} by"
    " {amount} a {unit} on average where both are likely ({unit}s weighted by p (1 - p))",
}
_SINGLE = {
    "ate": "Exposing one more item, its neighbours' exposures as they were, changes the {unit}'s"
    " total of {outcome} by {amount} an exposure on average",
    "att": "Where an item was exposed, that changed the {unit}'s total of {outcome} by {amount} an"
    " exposure on average, its neighbours' exposures as they were",
    "atu": "Where an item was not exposed, exposing it would have changed the {unit}'s total of"
    " {outcome} by {amount} an exposure on average, its neighbours' exposures as they were",
    "overlap": "Exposing one more item, its neighbours' exposures as they were, changes the"
    " {unit}'s total of {outcome} by {amount} an exposure on average where both are likely (rows"
    " weighted by p (1 - p))",
}


def _answer(result: EffectResult, units: Units, outcome: str) -> str:
    effect, naive, gap = result.rows[:3]
    table = _WHOLE if units.whole else _SINGLE
    reverse = "" if units.question.sign > 0 else " (the other way round: unexposed - exposed)"
    sentence = table[units.question.estimand].format(
        unit=units.unit, outcome=outcome, amount=amount(effect)
    )
    n_units = len(units.size)
    over = (
        f"{effect.n:,} {_population(effect.population, units)}"
        if units.whole
        else f"{effect.n:,} {effect.population} of {n_units:,} {units.unit}s"
    )
    closing = (
        f"A {units.unit} has {format_cell(float(units.size.mean()))} rows on average; gains that"
        " items take from each other cancel in the total."
        if units.whole
        else "The total has the item's own gain and what its neighbours lose to it: it is not the"
        " item's own effect (unit='item')."
    )
    return (
        f"{sentence}{reverse}, by {effect.estimator} over {over}. {closing} The observed means of"
        f" the total differ by {amount(naive)}; the difference between the two is {amount(gap)}."
    )


def _assumptions(units: Units) -> tuple[Assumption, ...]:
    unit = units.unit
    where = "in one slate" if unit == "slate" else "of one user"
    others = "other slates, of the same user or of others" if unit == "slate" else "other users"
    between = Assumption(
        name=f"no interference between {unit}s",
        statement=f"Exposure {where} does not change the outcomes of {others}. Within the"
        f" {unit} anything may happen: it is all in the total.",
        status="untestable",
        evidence=_shared_users(units),
    )
    if units.whole:
        return (
            between,
            Assumption(
                name="a policy effect in one sense",
                statement=f"This compares two policies: expose every row of a {unit} as it stands"
                " in the log, or none. It says nothing of exposing some of them, of other"
                " candidates, or of other positions: ask policy_value, or a randomised arm.",
                status="by design",
            ),
        )
    return (
        between,
        Assumption(
            name="not a policy effect",
            statement="This is what one more exposure does to the total while the neighbours'"
            " exposures stay as they were. A policy moves many at once, and each may take from the"
            " others: do not multiply it up. Ask policy_value, or a randomised arm.",
            status="by design",
        ),
        Assumption(
            name="exposures decided one by one",
            statement="Given the covariates, those of the neighbours averaged, and the share of"
            " neighbours exposed, whether an item is exposed has nothing more to do with which"
            " neighbours are.",
            status="untestable",
            evidence=_counts(units),
        ),
    )


def _shared_users(units: Units) -> str:
    if units.unit != "slate":
        return ""
    per_user = np.bincount(units.log.user_codes) if units.whole else None
    if per_user is None:
        pairs = np.column_stack([units.log.user_codes, np.asarray(units.log.slate)])
        per_user = np.bincount(np.unique(pairs, axis=0)[:, 0])
    several = int((per_user > 1).sum())
    return f"{several:,} users have more than one slate: carry-over between these is not seen here."


def _counts(units: Units) -> str:
    share = units.exposed / units.size
    low, middle, high = np.quantile(share, [0.1, 0.5, 0.9]).tolist()
    return (
        f"The share of a {units.unit}'s rows that is exposed: {low:.0%} (tenth percentile),"
        f" {middle:.0%} (median), {high:.0%} (ninetieth)."
    )


def _notes(units: Units) -> tuple[str, ...]:
    unit = units.unit
    found = [
        f"Exposure is the same in all rows of each {unit}, so one decision is taken for each of"
        f" the {len(units.size):,} {unit}s: their rows are summed."
        if units.whole
        else f"Exposure differs within {unit}s, so items are exposed one by one: the outcome of"
        f" each row is the total of its {unit}, and rows of a {unit} share it."
    ]
    if units.whole and np.ptp(units.size) > 0:
        shown = units.exposed > 0
        sizes = [format_cell(float(units.size[part].mean())) for part in (shown, ~shown)]
        found.append(
            f"A {unit} has {sizes[0]} rows on average where exposed and {sizes[1]} elsewhere; the"
            " total counts more rows as more, and size is not adjusted for."
        )
    if units.averaged:
        listed = ", ".join(repr(name) for name in units.averaged)
        found.append(
            f"Averaged over the rows of a {unit}: {listed}. That is enough if exposure looks at"
            " items through these averages only."
            if units.whole
            else f"Added to the adjustment, from the other rows of the {unit}: {listed}."
        )
    found.append(
        f"A total is of many items, so the interval does not treat items as drawn: it speaks of"
        f" {'new users of this catalogue' if units.question.sampled else 'these very rows'}."
    )
    return tuple(found)
