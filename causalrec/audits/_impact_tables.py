"""The tables of impact ratios, and the same numbers as rows of a result."""

from __future__ import annotations

import numpy as np

from causalrec.audits._gaps import clustered
from causalrec.audits._impact_check import check_impact_ratios
from causalrec.audits._impact_rates import FOUR_FIFTHS, Rated
from causalrec.audits._unknown_bounds import rate_bounds, ratio_bounds
from causalrec.results import Row, Table, rows_from_estimate, suppress_small_cells

SUPPRESSED = "suppressed"
EXCLUDED = "excluded: too small a share"
Value = str | float | int | bool | None


def rows_of(rated: Rated, unit: str, level: float, min_cell: int) -> tuple[Row, ...]:
    """Return the rates and the ratios as rows; hidden categories keep their names only."""
    categories = rated.categories
    codes = range(len(rated.n))
    names = {code: f"{_rate_word(rated)}: {categories.label(code)}" for code in codes}
    rates = rated.rates.relabel(list(names.values()))
    hidden = {names[code]: "suppressed" for code in categories.hidden}
    found = rows_from_estimate(
        rates.mark(hidden),  # type: ignore[arg-type]
        metric=_rate_word(rated),
        population="assessments",
        estimator="plain",
        unit=unit,
        groups={names[code]: categories.group(code) for code in codes},
        level=level,
        null=None,
        n={names[code]: int(categories.subjects[code]) for code in codes},
        interval_method=f"t, {clustered(rates)}",
    )
    inside = [
        row
        if row.lower is None or row.upper is None
        else row.model_copy(update={"lower": max(row.lower, 0.0), "upper": min(row.upper, 1.0)})
        for row in found
    ]
    return suppress_small_cells((*inside, *_ratio_rows(rated, names, unit, level)), min_cell)


def _ratio_rows(rated: Rated, names: dict[int, str], unit: str, level: float) -> list[Row]:
    categories, highest = rated.categories, rated.highest
    rows = []
    for code, ratio in rated.ratios.items():
        assert highest is not None
        fine = ratio.lower is not None
        rows.append(
            Row(
                label=f"impact ratio: {categories.label(code)} / {categories.category(highest)}",
                metric="impact ratio",
                value=ratio.value,
                standard_error=ratio.standard_error,
                lower=ratio.lower,
                upper=ratio.upper,
                level=level,
                n=int(min(categories.subjects[code], categories.subjects[highest])),
                unit=unit,
                population="assessments",
                estimator="plain",
                derived_from=(names[code], names[highest]),
                status="ok" if fine else "not_estimable",
                interval_method="sup-t over all pairs of categories, on the log scale,"
                f" {clustered(rated.rates)}"
                if fine
                else "",
                note=""
                if fine
                else "nobody selected, or fewer than five clusters: no interval on the log scale",
            )
        )
    return rows


def tables_of(rated: Rated) -> tuple[Table, ...]:
    """Return the table of the rule, the screens, and what the unknown could change.

    The arithmetic of the first is checked before it is handed on.
    """
    table = _ratio_table(rated)
    check_impact_ratios(table, rate=_rate_word(rated))
    found = [table]
    if rated.ratios:
        found.append(_screens(rated))
    if rated.n_unknown and not rated.categories.hides_unknown:
        found.append(_bounds_table(rated))
    return tuple(found)


def _rate_word(rated: Rated) -> str:
    return "scoring rate" if rated.scoring else "selection rate"


def _ratio_table(rated: Rated) -> Table:
    categories, lines = rated.categories, list[tuple[Value, ...]]()
    for code in range(len(rated.n)):
        name = categories.category(code)
        if code in categories.hidden:
            lines.append((name, *[SUPPRESSED] * 6))
            continue
        n, chosen = int(rated.n[code]), int(rated.selected[code])
        head: tuple[Value, ...] = (name, n, chosen, chosen / n)
        if code == rated.highest:
            lines.append((*head, 1.0, None, None))
        elif code in rated.ratios:
            ratio = rated.ratios[code]
            lines.append((*head, ratio.value, ratio.lower, ratio.upper))
        else:
            lines.append((*head, EXCLUDED if code in rated.excluded else None, None, None))
    return Table(
        name=f"impact ratios: {categories.name}",
        title=f"{_rate_word(rated).capitalize()}s and impact ratios by {categories.name}",
        columns=(
            "category",
            "n",
            "n selected",
            _rate_word(rated),
            "impact ratio",
            "lower",
            "upper",
        ),
        rows=tuple(lines),
        caption=" ".join((*_said_of_highest(rated), _said_of_unknown(rated))),
    )


def _said_of_highest(rated: Rated) -> list[str]:
    said = ["n counts assessments."]
    if rated.scoring:
        said.append("Selected means scored above the sample median.")
    if rated.highest is None:
        said.append("There is no ratio: fewer than two categories can be compared.")
        return said
    said.append(
        f"The ratio is to {rated.categories.category(rated.highest)!r}, the highest rate of those"
        " compared."
    )
    return said


def _said_of_unknown(rated: Rated) -> str:
    if rated.categories.hides_unknown:
        return "How many are of unknown category is hidden: they are few."
    count = f"{rated.n_unknown:,}" if rated.n_unknown else "No"
    verb = "are" if rated.n_unknown > 1 else "is"
    return f"{count} assessment{'s' if rated.n_unknown > 1 else ''} {verb} of unknown category."


def _screens(rated: Rated) -> Table:
    lines = [
        (
            rated.categories.category(code),
            ratio.value,
            "yes" if ratio.value < FOUR_FIFTHS else "no",
            _beyond_chance(ratio.lower, ratio.upper),
            ratio.deviations,
            f"{ratio.fisher:.2g}",
        )
        for code, ratio in rated.ratios.items()
    ]
    return Table(
        name=f"screens: {rated.categories.name}",
        title=f"Screens of the ratios by {rated.categories.name}",
        columns=(
            "category",
            "impact ratio",
            "below four fifths",
            "differs beyond chance",
            "standard deviations",
            "Fisher's exact p",
        ),
        rows=tuple(lines),
        caption="Screens, not verdicts. Standard deviations and Fisher's p take assessments as"
        " independent; 'beyond chance' is the clustered interval of the ratio, which holds over all"
        " pairs.",
    )


def _beyond_chance(lower: float | None, upper: float | None) -> str:
    if lower is None or upper is None:
        return "no interval"
    return "yes" if upper < 1.0 or lower > 1.0 else "no"


def _bounds_table(rated: Rated) -> Table:
    codes = rated.compared or rated.shown
    n, selected = rated.n[codes], rated.selected[codes]
    unknown = (rated.n_unknown, rated.selected_unknown)
    rates, ratios = rate_bounds(n, selected, *unknown), ratio_bounds(n, selected, *unknown)
    return Table(
        name=f"unknown: {rated.categories.name}",
        title=f"What the unknown could change, by {rated.categories.name}",
        columns=("category", "lowest rate", "highest rate", "lowest ratio", "highest ratio"),
        rows=tuple(
            (rated.categories.category(code), *map(float, (*rate, *ratio)))
            for code, rate, ratio in zip(codes, rates, ratios, strict=True)
        ),
        caption=f"{rated.n_unknown:,} assessments are of unknown category,"
        f" {rated.selected_unknown:,} of them selected. Bounds hold for every way of placing them"
        " among these categories; they are not intervals, and sampling error comes on top.",
    )


def has_repeats(rated: Rated) -> bool:
    """Return whether subjects were assessed more than once."""
    return bool(np.any(rated.n > rated.categories.subjects))
