"""No small group can be read off a result, nor worked out from it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from causalrec.results import Row, Table, hidden_groups, suppress_small_cells, suppress_table

MIN_CELL = 11


def _rows(counts: dict[str, int], attribute: str = "country", **more: object) -> list[Row]:
    rows = [Row(label="all", value=0.5, n=sum(counts.values()), **more)]
    return rows + [
        Row(label=level, value=n / 1000, n=n, group={attribute: level}, **more)
        for level, n in counts.items()
    ]


def _hidden(rows: tuple[Row, ...]) -> set[str]:
    return {row.label for row in rows if row.status == "suppressed"}


def _range(counts: dict, hidden: frozenset, equations: list, cell: object) -> tuple[float, float]:
    """The smallest and the largest count of a hidden group that fits what is shown.

    An independent check by linear programming: counts are not negative, and every margin adds up.
    """
    unknown = sorted(hidden, key=sorted)
    place = {name: i for i, name in enumerate(unknown)}
    lines, right = [], []
    for total, parts in equations:
        line, value = np.zeros(len(unknown)), 0.0
        for member, sign in [(total, -1.0), *((part, 1.0) for part in parts)]:
            if member in place:
                line[place[member]] += sign
            else:
                value -= sign * counts[member]
        lines.append(line)
        right.append(value)
    goal = np.zeros(len(unknown))
    goal[place[cell]] = 1.0
    ends = []
    for sign in (1.0, -1.0):
        found = linprog(sign * goal, A_eq=np.array(lines), b_eq=right, bounds=(0, 1e6))
        assert found.status == 0
        ends.append(sign * found.fun)
    return ends[0], ends[1]


@given(st.lists(st.integers(1, 60), min_size=2, max_size=6))
def test_one_attribute_is_never_derivable_by_difference(sizes: list[int]) -> None:
    counts = {f"level {i}": n for i, n in enumerate(sizes)}
    rows = suppress_small_cells(_rows(counts), MIN_CELL)
    total, groups = rows[0], rows[1:]
    hidden = [row for row in groups if row.status == "suppressed"]
    assert {level for level, n in counts.items() if n < MIN_CELL} <= {r.label for r in hidden}
    assert all(r.value is None and r.n is None and r.lower is None for r in hidden)
    if hidden and total.n is not None:
        left = total.n - sum(row.n for row in groups if row.n is not None)
        assert len(hidden) > 1
        assert left >= MIN_CELL


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 40), min_size=6, max_size=6), st.booleans())
def test_a_cross_table_with_its_margins_is_never_derivable(sizes: list[int], margins: bool) -> None:
    cells = list(itertools.product("ab", "xyz"))
    table = dict(zip(cells, sizes, strict=True))
    counts = {frozenset({("g", g), ("h", h)}): n for (g, h), n in table.items()}
    everybody: frozenset[tuple[str, str]] = frozenset()
    equations = [(everybody, list(counts))]
    counts[everybody] = sum(sizes)
    if margins:
        for key, levels in (("g", "ab"), ("h", "xyz")):
            for level in levels:
                parts = [c for c in counts if len(c) == 2 and (key, level) in c]
                counts[frozenset({(key, level)})] = sum(counts[part] for part in parts)
                equations.append((frozenset({(key, level)}), parts))
            equations.append((everybody, [frozenset({(key, level)}) for level in levels]))
    hidden = hidden_groups(counts, MIN_CELL)
    assert {cell for cell, n in counts.items() if n < MIN_CELL} <= hidden
    for cell in hidden:
        low, high = _range(counts, hidden, equations, cell)
        assert high - low > 0.5, (dict(cell), low, high)


def test_the_smallest_shown_group_covers_for_a_small_one() -> None:
    assert _hidden(suppress_small_cells(_rows({"A": 60, "B": 35, "C": 5}))) == {"B", "C"}


def test_two_small_groups_that_are_small_together_take_a_third_along() -> None:
    assert _hidden(suppress_small_cells(_rows({"A": 60, "B": 35, "C": 5, "D": 4}))) == {
        "B",
        "C",
        "D",
    }


def test_a_group_is_hidden_in_every_metric_and_estimator() -> None:
    rows = [
        *_rows({"A": 60, "B": 35, "C": 5}, metric="mse", estimator="dr"),
        *_rows({"A": 6000, "B": 3500, "C": 500}, metric="dcg", estimator="snips", unit="cells"),
    ]
    out = suppress_small_cells(rows)
    assert [row.status for row in out if row.label in {"B", "C"}] == ["suppressed"] * 4
    assert [row.status for row in out if row.label in {"A", "all"}] == ["ok"] * 4


def test_what_is_derived_from_a_hidden_group_is_hidden_with_it() -> None:
    rows = [
        *_rows({"A": 60, "B": 35, "C": 5, "D": 80}),
        Row(label="A − B", value=0.1, n=95, derived_from=("A", "B")),
        Row(label="A − D", value=0.2, n=140, derived_from=("A", "D")),
        Row(label="twice", value=0.3, n=95, derived_from=("A − B",)),
        Row(label="naive − dr of C", value=0.4, group={"country": "C"}, derived_from=("A",)),
    ]
    assert _hidden(suppress_small_cells(rows)) == {"B", "C", "A − B", "twice", "naive − dr of C"}


def test_it_is_idempotent_and_keeps_the_order() -> None:
    once = suppress_small_cells(_rows({"A": 60, "B": 35, "C": 5, "D": 4}))
    assert suppress_small_cells(once) == once
    assert [row.label for row in once] == ["all", "A", "B", "C", "D"]


def test_only_the_named_units_are_protected() -> None:
    rows = _rows({"A": 60, "B": 5}, unit="providers")
    assert not _hidden(suppress_small_cells(rows, units=("users",)))
    assert _hidden(suppress_small_cells(rows)) == {"A", "B"}


def test_a_group_under_the_limit_alone_hides_nobody_else() -> None:
    rows = [
        Row(label="all", value=0.5, n=100),
        Row(label="A", value=0.2, n=5, group={"c": "A"}),
    ]
    assert _hidden(suppress_small_cells(rows)) == {"A"}


def test_a_table_follows_the_rows() -> None:
    rows = suppress_small_cells(_rows({"A": 60, "B": 35, "C": 5}))
    table = Table(
        name="t",
        title="t",
        columns=("country", "users", "mean", "text"),
        rows=(("all", 100, 0.5, ""), ("A", 60, 0.1, "x"), ("B", 35, 0.2, "35"), ("C", 50, 0.3, "")),
    )  # fmt: skip
    out = suppress_table(table, count="users", keys=["country"], following=rows)
    assert out.rows[:2] == table.rows[:2]
    assert out.rows[2:] == (("B", *["suppressed"] * 3), ("C", *["suppressed"] * 3))
    assert suppress_table(out, count="users", keys=["country"]) == out


@pytest.mark.parametrize("n", [0, 10])
def test_fewer_than_eleven_means_fewer_than_eleven(n: int) -> None:
    assert _hidden(suppress_small_cells([Row(label="x", value=1.0, n=n)])) == {"x"}
    assert not _hidden(suppress_small_cells([Row(label="x", value=1.0, n=11)]))
