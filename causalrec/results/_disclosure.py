"""Disclosure control: no small group can be read off a result, nor worked out from it.

Primary suppression hides the groups with fewer than `min_cell` subjects. Complementary
suppression then hides further groups until no hidden count follows from what is shown: not by
subtracting the shown groups from their total, nor by any other combination of the margins (of a
cross table, say). The check is linear algebra on the counts, so it holds for tables with several
attributes too. What is computed from a hidden row is hidden with it. A group that is hidden once
is hidden in every row of the result, whatever the metric or estimator.

It happens in the result object, before any renderer sees it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from causalrec.results._margins import Cell, Equation, determined, equations_between
from causalrec.results._model import Row, Table

DEFAULT_MIN_CELL = 11
SUPPRESSED = "suppressed"


def suppress_small_cells(
    rows: Iterable[Row],
    min_cell: int = DEFAULT_MIN_CELL,
    *,
    units: Collection[str] | None = None,
    margins: bool = True,
) -> tuple[Row, ...]:
    """Hide the rows of small groups, and the rows that would give them away.

    Parameters
    ----------
    rows : iterable of Row
        All rows of one result. `group` says whom a row speaks of (empty: everybody), `n` counts
        its subjects in `unit`, and `derived_from` names the labels that a gap or a ratio is
        computed from.
    min_cell : int
        The smallest group that may be shown. Eleven is the rule of the US Centers for Medicare
        and Medicaid Services ("fewer than 11").
    units : collection of str, optional
        Units whose subjects are protected, for example ("users",); every unit by default.
    margins : bool
        False where `hidden_among` has looked at all groups together before: the rows that are
        marked as suppressed, or are small, are hidden, and what is computed from them.

    Returns
    -------
    tuple of Row
        The same rows in the same order. A hidden row keeps its names (label, metric, group,
        population, estimator) and loses every number; its status is "suppressed".

    Notes
    -----
    Within each family of margins the smallest group that is still shown is hidden next, until at
    least two groups are hidden, together they have at least `min_cell` subjects, and no hidden
    count is determined by the shown ones. Levels that are listed are taken to make up their
    total, so a list that leaves some subjects out is treated with more care than it needs. Of the
    rows without a group the largest counts everybody; one of few subjects (users with two relevant
    items, say) is hidden by itself, with those of its metric.

    Examples
    --------
    >>> rows = [Row(label="all", value=0.50, n=100), *(
    ...     Row(label=level, value=value, n=n, group={"country": level})
    ...     for level, value, n in [("A", 0.4, 60), ("B", 0.6, 35), ("C", 0.9, 5)])]
    >>> [row.label for row in suppress_small_cells(rows) if row.status == "suppressed"]
    ['B', 'C']
    """
    rows = tuple(rows)
    plain = [row for row in rows if not row.derived_from]
    counts: dict[Cell, int] = {}
    small = set()
    for row in plain:
        if row.n is not None and (units is None or row.unit in units):
            cell = _cell(row)
            counts[cell] = (min if cell else max)(row.n, counts.get(cell, row.n))
            if not cell and row.n < min_cell:
                small.add(row.metric)
    forced = {_cell(row) for row in plain if row.status == SUPPRESSED}
    if margins:
        hidden = hidden_groups(counts, min_cell, also=forced)
    else:
        hidden = frozenset({cell for cell, n in counts.items() if n < min_cell} | forced)

    def goes(row: Row) -> bool:
        return _cell(row) in hidden or (not row.group and row.metric in small)

    out = [_blank(row, min_cell) if not row.derived_from and goes(row) else row for row in rows]
    return _hide_derived(out, hidden, min_cell, units)


def suppress_table(
    table: Table,
    *,
    count: str,
    keys: Sequence[str],
    min_cell: int = DEFAULT_MIN_CELL,
    total: str = "all",
    following: Iterable[Row] = (),
) -> Table:
    """Hide the small groups of a table that carries counts.

    Parameters
    ----------
    table : Table
        Rows with a count of subjects.
    count : str
        The column that holds the count.
    keys : sequence of str
        The columns that name the group; each is an attribute. They stay.
    min_cell : int
        The smallest group that may be shown.
    total : str
        The level that stands for everybody in a key column (so does None).
    following : iterable of Row
        Rows of the same result: a group that is suppressed in them is hidden here too.

    Returns
    -------
    Table
        Every cell of a hidden row, apart from its keys, is the word "suppressed".

    Examples
    --------
    >>> table = Table(name="groups", title="Groups", columns=("plan", "users"),
    ...               rows=(("all", 100), ("free", 80), ("family", 16), ("student", 4)))
    >>> suppress_table(table, count="users", keys=["plan"]).rows[2:]
    (('family', 'suppressed'), ('student', 'suppressed'))
    """
    place = {column: i for i, column in enumerate(table.columns)}
    cells = [
        frozenset(
            (key, str(row[place[key]])) for key in keys if row[place[key]] not in {None, total}
        )
        for row in table.rows
    ]
    counts: dict[Cell, int] = {}
    forced = {_cell(row) for row in following if row.status == SUPPRESSED and not row.derived_from}
    for cell, row in zip(cells, table.rows, strict=True):
        number = row[place[count]]
        if isinstance(number, int | float):
            counts[cell] = min(int(number), counts.get(cell, int(number)))
        elif number == SUPPRESSED:
            forced.add(cell)
    hidden = hidden_groups(counts, min_cell, also=forced & set(cells))
    kept = set(keys)
    rows = tuple(
        tuple(
            value if column in kept else SUPPRESSED
            for column, value in zip(table.columns, row, strict=True)
        )
        if cell in hidden
        else row
        for cell, row in zip(cells, table.rows, strict=True)
    )
    return table.model_copy(update={"rows": rows})


def hidden_groups(
    counts: Mapping[Cell, int],
    min_cell: int = DEFAULT_MIN_CELL,
    *,
    also: Iterable[Cell] = (),
    unions: Iterable[tuple[Cell, Sequence[Cell]]] = (),
    told: Collection[Cell] = (),
) -> frozenset[Cell]:
    """Return the groups that must be hidden so that no small count follows from the others.

    Useful before a gap or a maximum is computed, so that it is computed over shown groups only.

    Parameters
    ----------
    counts : mapping of frozenset of (attribute, level) to int
        Subjects of each group; the empty frozenset is everybody.
    min_cell : int
        The smallest group that may be shown.
    also : iterable of frozenset
        Groups that are hidden for another reason.
    unions : iterable of (frozenset, sequence of frozenset)
        Groups that are made up of others although their names do not say so: a region and its
        countries.
    told : collection of frozenset
        Groups whose count is known anyhow, and not to be hidden to cover for others.

    Returns
    -------
    frozenset of frozenset

    Examples
    --------
    >>> groups = {frozenset([("plan", name)]): n for name, n in
    ...           [("free", 80), ("family", 16), ("student", 4)]}
    >>> sorted(dict(cell)["plan"] for cell in hidden_groups({**groups, frozenset(): 100}))
    ['family', 'student']
    """
    hidden = {cell for cell, n in counts.items() if n < min_cell} | set(also)
    equations = equations_between({**dict.fromkeys(hidden, 0), **counts})
    known = {(equation.total, frozenset(equation.parts)) for equation in equations}
    equations += [
        Equation(total, tuple(parts))
        for total, parts in unions
        if (total, frozenset(parts)) not in known
    ]
    while True:
        found = _next_to_hide(counts, equations, hidden, min_cell, told)
        if found is None:
            return frozenset(hidden)
        hidden.add(found)


def _next_to_hide(
    counts: Mapping[Cell, int],
    equations: Sequence[Equation],
    hidden: set[Cell],
    min_cell: int,
    told: Collection[Cell],
) -> Cell | None:
    """Return the smallest group that covers for one which is still derivable, or None."""
    exposed = determined(equations, hidden)
    for equation in equations:
        inside = equation.members & hidden
        small_sum = _together(counts, equation, hidden) < min_cell
        # A hidden total is protected by its parts only if one of them is hidden with it; parts
        # that add up to less than min_cell are one small group more.
        if not inside or not (exposed & inside or (small_sum and equation.total not in inside)):
            continue
        shown = [cell for cell in equation.parts if cell not in hidden]
        whole = sum(counts.get(cell, 0) for cell in equation.parts) == counts.get(equation.total)
        if not shown and whole and equation.total not in hidden and equation.total not in told:
            shown = [equation.total]
        if shown:
            return min(shown, key=lambda cell: (counts.get(cell, 0), sorted(cell)))
    return None


def _together(counts: Mapping[Cell, int], equation: Equation, hidden: set[Cell]) -> float:
    """Return the subjects of the hidden parts together, as far as anybody could know."""
    parts = [cell for cell in equation.parts if cell in hidden]
    if all(cell in counts for cell in parts):
        return sum(counts[cell] for cell in parts)
    # Some were hidden before, without their counts: what is left of the total is all there is.
    shown = sum(counts.get(cell, 0) for cell in equation.parts if cell not in hidden)
    return counts[equation.total] - shown if equation.total in counts else math.inf


def _hide_derived(
    rows: Sequence[Row], hidden: frozenset[Cell], min_cell: int, units: Collection[str] | None
) -> tuple[Row, ...]:
    """Hide what is computed from hidden rows, and what is computed from that."""
    gone = {row.label for row in rows if row.status == SUPPRESSED}
    out = list(rows)
    changed = True
    while changed:
        changed = False
        for i, row in enumerate(out):
            small = row.n is not None and row.n < min_cell and (units is None or row.unit in units)
            reveals = bool(gone & set(row.derived_from)) or (row.derived_from and small)
            if row.status != SUPPRESSED and (reveals or (row.group and _cell(row) in hidden)):
                out[i] = _blank(row, min_cell)
                gone.add(row.label)
                changed = True
    return tuple(out)


def _cell(row: Row) -> Cell:
    return frozenset(row.group.items())


def _blank(row: Row, min_cell: int) -> Row:
    return Row(
        label=row.label,
        metric=row.metric,
        group=row.group,
        population=row.population,
        estimator=row.estimator,
        unit=row.unit,
        level=row.level,
        derived_from=row.derived_from,
        status=SUPPRESSED,
        note=f"hidden: fewer than {min_cell} {row.unit}, or it would give such a group away",
    )
