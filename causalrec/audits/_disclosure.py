"""Hide small groups everywhere: in the rows, in the tables, in what was tested."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from causalrec.audits._attributes import Attribute
from causalrec.audits._gaps import TEST_COLUMNS, TestLine
from causalrec.results import Cell, Row, Table, suppress_small_cells

SUPPRESSED = "suppressed"
NAMES = frozenset({"attribute", "group", "label"})
Pairs = frozenset[tuple[str, str]]


def hide_small_groups(
    rows: Sequence[Row], min_cell: int, attributes: Sequence[Attribute]
) -> tuple[Row, ...]:
    """Suppress small groups of users and of items, each among their own kind.

    Users and items are counted apart: the catalogue is no margin of the users. The attributes were
    looked at together when they were read; their margins are looked at again only where a number
    speaks of fewer subjects than its group has.

    Parameters
    ----------
    rows : sequence of Row
    min_cell : int
    attributes : sequence of Attribute
        With the groups that must be hidden.
    """
    gone = {frozenset(one.group(x).items()) for one in attributes for x in one.hidden}
    total = {one.unit: one.n_subjects for one in attributes}
    hidden: dict[str, list[Row]] = {}
    for unit in ("users", "items"):
        kept = [_marked(row, gone) for row in rows if row.unit == unit]
        again = any(
            row.n is not None and row.n < min_cell
            for row in kept
            if row.group and not row.derived_from and row.status != SUPPRESSED
        )
        everybody = Row(label="everybody", n=total.get(unit), unit=unit)
        hidden[unit] = list(suppress_small_cells([everybody, *kept], min_cell, margins=again)[1:])
    queues = {unit: iter(found) for unit, found in hidden.items()}
    return tuple(next(queues[row.unit]) for row in rows)


def _marked(row: Row, gone: Collection[Cell]) -> Row:
    if row.derived_from or frozenset(row.group.items()) not in gone:
        return row
    return row.model_copy(update={"status": SUPPRESSED})


def hidden_pairs(rows: Sequence[Row], attributes: Mapping[str, Attribute]) -> Pairs:
    """Return (attribute, level) of every group that is hidden."""
    gone = {frozenset(row.group.items()) for row in rows if row.status == SUPPRESSED}
    return frozenset(
        (column, level)
        for column, one in attributes.items()
        for level in one.levels
        if level in one.hidden or frozenset(one.group(level).items()) in gone
    )


def hide_in_table(table: Table, hidden: Pairs) -> Table:
    """Hide the groups of a table whose columns "attribute" and "group" name them."""
    if not {"attribute", "group"} <= set(table.columns):
        return table
    place = {name: at for at, name in enumerate(table.columns)}
    rows = tuple(
        tuple(
            value if name in NAMES else SUPPRESSED
            for name, value in zip(table.columns, row, strict=True)
        )
        if (str(row[place["attribute"]]), str(row[place["group"]])) in hidden
        else row
        for row in table.rows
    )
    return table.model_copy(update={"rows": rows})


def hidden_later(attributes: Mapping[str, Attribute], hidden: Pairs) -> frozenset[str]:
    """Return the attributes of which a group is hidden that was compared with others."""
    return frozenset(column for column, level in hidden if level in attributes[column].shown)


def table_of_tests(
    tests: Sequence[TestLine], attributes: Mapping[str, Attribute], hidden: Pairs
) -> tuple[Table, ...]:
    """Return what was tested among shown groups; nothing about a group that is hidden later."""
    later = hidden_later(attributes, hidden)
    kept = [line for line in tests if line[0] not in later]
    if not kept:
        return ()
    return (
        Table(
            name="any difference",
            title="Is there any difference between the groups of an attribute?",
            columns=TEST_COLUMNS,
            rows=tuple(kept),
            caption="Wald tests of all gaps together, clustered as the gaps are. The largest minus"
            " the smallest group is above zero even where all groups are alike; this is not.",
        ),
    )
