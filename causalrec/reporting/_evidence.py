"""Tables as texts: what is the same in every row goes into the caption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from causalrec.reporting._marks import estimator_of, is_truth
from causalrec.reporting._numbers import (
    column_texts,
    decimals_for,
    interval,
    number,
    p_text,
    row_decimals,
)
from causalrec.results import Row, Table

_STATUS_WORDS = {
    "ok": "",
    "suppressed": "suppressed",
    "not_estimable": "not estimable",
    "low_support": "low support",
}


@dataclass(frozen=True)
class Grid:
    """A table as texts, with the columns that hold numbers."""

    caption: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    classes: tuple[str, ...]
    """One class a row: "naive", "suppressed"... or nothing."""
    cut: int = 0
    """Rows that were left out."""
    groups: tuple[str, ...] = ()
    """One heading a row, where rows are grouped under headings."""


def evidence_grid(rows: Sequence[Row], max_rows: int, *, grouped: bool = False) -> Grid:
    """Return the rows of a result as a table.

    Parameters
    ----------
    rows : sequence of Row
    max_rows : int
        Further rows are counted, not shown.
    grouped : bool
        Whether metrics become headings between the rows, in place of a column.
    """
    grouped = grouped and len({row.metric for row in rows}) > 1
    shown = list(rows)[:max_rows]
    hidden = dict.fromkeys(row.note for row in rows if row.status == "suppressed" and row.note)
    said: list[str] = []
    kept: list[tuple[str, bool, list[str]]] = []
    for name, numeric, text_of in _columns(_decimals_by_metric(rows)):
        every = [text_of(row) for row in rows]
        if not any(every):
            continue
        alike = {text for text, row in zip(every, rows, strict=True) if text and not is_truth(row)}
        if name == "metric" and grouped:
            continue
        if name in _CONSTANTS and len(alike) == 1:
            said.append(_CONSTANTS[name].format(next(iter(alike))))
        else:
            kept.append((name, numeric, [text_of(row) for row in shown]))
    return Grid(
        caption=" ".join(["The numbers.", *said, *(_why_hidden(note) for note in hidden)]),
        columns=tuple(name for name, _, _ in kept),
        numeric=tuple(numeric for _, numeric, _ in kept),
        rows=tuple(zip(*(texts for _, _, texts in kept), strict=True)),
        classes=tuple(_class(row) for row in shown),
        cut=len(rows) - len(shown),
        groups=tuple(row.metric for row in shown) if grouped else (),
    )


def _columns(
    decimals: dict[tuple[str, bool], int],
) -> list[tuple[str, bool, Callable[[Row], str]]]:
    """Return each column's name, whether it holds numbers, and how a row fills it."""
    return [
        ("metric", False, lambda r: r.metric),
        ("row", False, lambda r: r.label),
        ("estimator", False, lambda r: "" if is_truth(r) and not r.estimator else r.estimator),
        ("estimate", True, lambda r: _estimate(r, decimals[_key(r)])),
        ("interval", True, lambda r: interval(r, decimals[_key(r)])),
        ("level", True, lambda r: f"{r.level:.0%}" if r.lower is not None else ""),
        ("se", True, lambda r: number(r.standard_error, decimals[_key(r)] + 1)),
        ("p", True, lambda r: p_text(r.p_value)),
        ("p adjusted", True, lambda r: p_text(r.p_adjusted)),
        ("n", True, lambda r: "" if r.n is None else f"{r.n:,}"),
        ("unit", False, lambda r: r.unit if r.n is not None else ""),
        ("effective n", True, lambda r: _whole(r.effective_sample_size)),
        ("clusters", False, _clusters),
        ("population", False, lambda r: r.population),
        ("method", False, lambda r: r.interval_method),
        ("status", False, lambda r: "" if r.status == "suppressed" else _STATUS_WORDS[r.status]),
        ("note", False, lambda r: "" if r.status == "suppressed" else r.note),
    ]


def table_grid(table: Table, max_rows: int, *, captioned: bool) -> Grid:
    """Return a table of a result as texts.

    Parameters
    ----------
    table : Table
    max_rows : int
        Further rows are counted, not shown.
    captioned : bool
        Whether the table's caption stands here (and not under its figure).
    """
    shown = table.rows[:max_rows]
    values = [[row[i] for row in shown] for i in range(len(table.columns))]
    texts = [column_texts(column) for column in values]
    if table.name == "summary":
        texts = _by_line(table, texts, len(shown))
    caption = table.title
    if captioned and table.caption:
        stop = "" if table.title.endswith(("?", "!", ".", ":")) else "."
        caption = f"{table.title}{stop} {table.caption.rstrip('.')}."
    return Grid(
        caption=caption,
        columns=table.columns,
        numeric=tuple(
            any(isinstance(v, int | float) and not isinstance(v, bool) for v in column)
            for column in values
        ),
        rows=tuple(zip(*texts, strict=True)),
        classes=tuple("" for _ in shown),
        cut=len(table.rows) - len(shown),
    )


def _by_line(table: Table, texts: Sequence[Sequence[str]], n: int) -> list[list[str]]:
    """Return the texts with decimals by line: a summary holds another quantity in each."""
    out = [list(column) for column in texts]
    at = {name: i for i, name in enumerate(table.columns)}
    for j in range(n):
        line = table.rows[j]
        floats = [v for v in line if isinstance(v, float)]
        ends = [line[at[name]] for name in ("lower", "upper") if name in at]
        known = [end for end in ends if isinstance(end, float)]
        error = [(max(known) - min(known)) / 4] if len(known) > 1 else []
        decimals = decimals_for(floats, error)
        for i, value in enumerate(line):
            if isinstance(value, float):
                out[i][j] = number(value, decimals)
    return out


_CONSTANTS = {
    "metric": "Metric: {}.",
    "level": "Intervals at {}.",
    "unit": "n counts {}.",
    "clusters": "Clusters: {}.",
    "population": "Population: {}.",
    "method": "Intervals: {}.",
}


def _key(row: Row) -> tuple[str, bool]:
    return row.metric, bool(row.derived_from)


def _decimals_by_metric(rows: Sequence[Row]) -> dict[tuple[str, bool], int]:
    keys = dict.fromkeys(_key(row) for row in rows)
    return {key: row_decimals([row for row in rows if _key(row) == key]) for key in keys}


def _why_hidden(note: str) -> str:
    return f"Suppressed: {note.removeprefix('hidden: ')}."


def _estimate(row: Row, decimals: int) -> str:
    return "suppressed" if row.status == "suppressed" else number(row.value, decimals)


def _clusters(row: Row) -> str:
    return " × ".join(f"{count:,} {name}s" for name, count in sorted(row.clusters.items()))


def _whole(value: float | None) -> str:
    return number(value, decimals_for([value]) if value is not None and value < 100 else 0)


def _class(row: Row) -> str:
    if is_truth(row):
        return "is-truth"
    if row.status != "ok":
        return f"is-{row.status.replace('_', '-')}"
    return "is-naive" if estimator_of(row) == "naive" else ""
