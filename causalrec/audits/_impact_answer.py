"""The answer and the notes of a table of impact ratios: what was found, and no opinion."""

from __future__ import annotations

from collections.abc import Sequence

from causalrec.audits._assessments import Assessments
from causalrec.audits._impact_rates import FOUR_FIFTHS, Rated
from causalrec.audits._impact_tables import has_repeats
from causalrec.results import format_cell

NO_OPINION = (
    "This is evidence in the format of New York's Local Law 144 (6 RCNY 5-300 ff.), and no legal"
    " opinion: the rule names no threshold, and four fifths is a screen only."
)


def answer_of_ratios(rated: Sequence[Rated]) -> str:
    """Return the smallest ratio of each table, with its interval."""
    return " ".join(_sentence(one) for one in rated)


def _sentence(rated: Rated) -> str:
    name = rated.categories.name
    if not rated.ratios or rated.highest is None:
        return f"By {name} there is no impact ratio: fewer than two categories can be compared."
    code = min(rated.ratios, key=lambda c: (rated.ratios[c].value, c))
    ratio = rated.ratios[code]
    rates = [rated.selected[c] / rated.n[c] for c in (code, rated.highest)]
    text = (
        f"By {name} the smallest impact ratio is {format_cell(ratio.value)}"
        f" {_interval(ratio.lower, ratio.upper)}: {rated.categories.category(code)} at a rate of"
        f" {format_cell(float(rates[0]))}, {rated.categories.category(rated.highest)} at"
        f" {format_cell(float(rates[1]))}"
    )
    return f"{text}. {_counted(rated)}"


def _counted(rated: Rated) -> str:
    ratios = rated.ratios.values()
    below = sum(one.value < FOUR_FIFTHS for one in ratios)
    surely = sum(one.upper is not None and one.upper < 1.0 for one in ratios)
    if len(ratios) == 1:
        return (
            f"It is {'' if below else 'not '}below four fifths, and"
            f" {'lies' if surely else 'does not lie'} below 1 beyond chance."
        )
    return (
        f"Of its {len(ratios)} ratios {below or 'none'} {'is' if below < 2 else 'are'} below four"
        f" fifths, and {surely or 'none'} {'lies' if surely < 2 else 'lie'} below 1 beyond chance."
    )


def _interval(lower: float | None, upper: float | None) -> str:
    if lower is None or upper is None:
        return "(no interval)"
    return f"[{format_cell(lower)}, {format_cell(upper)}]"


def notes_of_ratios(
    rated: Sequence[Rated],
    assessments: Assessments,
    unit: str,
    smallest_share: float,
    min_cell: int,
) -> tuple[str, ...]:
    """Return what a reader has to know beside the numbers."""
    said = [NO_OPINION, f"Assessed: {assessments.words}.", *assessments.notes]
    excluded = sum(len(one.excluded) for one in rated)
    if excluded:
        said.append(
            f"{excluded} categories hold less than {smallest_share:.0%} of the assessments: their"
            " rates are shown, and they are left out of the ratios."
        )
    hidden = sum(len(one.categories.hidden) for one in rated)
    if hidden:
        said.append(
            f"{hidden} categories are hidden: they have fewer than {min_cell} {unit}, or would give"
            " such a category away."
        )
    if any(has_repeats(one) for one in rated):
        said.append(
            f"Most {unit} were assessed more than once: assessments are not independent, so judge"
            " by the clustered intervals, not by the screens."
        )
    tests = []
    for one in rated:
        statistic, freedom, denominator, p = one.any_difference
        if p is not None and statistic is not None and freedom is not None:
            tests.append(
                f"by {one.categories.name} F = {format_cell(statistic)} on {freedom:.0f} and"
                f" {format_cell(denominator)} degrees of freedom, p = {p:.2g}"
            )
    if tests:
        said.append(f"Is there any difference at all? {'; '.join(tests)}.")
    return tuple(said)
