"""Markdown for people, and a long CSV table for spreadsheets."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

from causalrec.reporting._compose import GATHERED
from causalrec.reporting._evidence import Grid, evidence_grid, table_grid
from causalrec.reporting._summary import headline, summary_table
from causalrec.reporting._svg import clean
from causalrec.results import Result, Row, Table

_ALL_ROWS = 10**9
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$!&])")
_FORMULA = ("=", "+", "-", "@", "\N{MINUS SIGN}", "＝", "＋", "－", "＠")

CSV_COLUMNS = (
    "section",
    "table",
    "metric",
    "label",
    "group",
    "estimator",
    "population",
    "value",
    "standard_error",
    "lower",
    "upper",
    "level",
    "p_value",
    "p_adjusted",
    "n",
    "unit",
    "effective_sample_size",
    "clusters",
    "interval_method",
    "status",
    "note",
)


def render_markdown(result: Result) -> str:
    """Return a result as Markdown, with the same order as the page."""
    return "\n".join(_markdown(result, 1)).rstrip() + "\n"


def _markdown(result: Result, level: int) -> Iterator[str]:
    heading, below = "#" * level, "#" * min(6, level + 1)
    yield from (f"{heading} {_plain(result.title)}", "")
    for text, around in ((result.question, "*"), (result.answer, "**")):
        if text:
            yield from (f"{around}{_plain(text)}{around}", "")
    whole = result.kind in GATHERED and bool(result.sections)
    if whole and any(headline(section) is not None for section in result.sections):
        grid = table_grid(summary_table(result.sections), _ALL_ROWS, captioned=False)
        yield from (f"{below} The answers at a glance", "")
        yield from _pipes(grid, caption=False)
    elif result.rows:
        yield from (f"{below} Evidence", "")
        yield from _pipes(evidence_grid(result.rows, _ALL_ROWS))
    notes = [text for text in (result.family, *result.notes) if text]
    yield from (f"- {_plain(note)}" for note in notes)
    yield from [""] if notes else []
    if result.assumptions:
        yield from (f"{below} What it rests on", "")
        for one in result.assumptions:
            evidence = f" {_plain(one.evidence)}" if one.evidence else ""
            if one.questions:
                evidence += f" Rests on it: {_plain('; '.join(one.questions))}."
            yield f"- **{_plain(one.name)}** ({one.status}): {_plain(one.statement)}{evidence}"
        yield ""
    if result.adjustment:
        yield from (f"Adjusted for: {_plain(', '.join(result.adjustment))}.", "")
    if result.tables:
        yield from (f"{below} Diagnostics", "")
        for table in result.tables:
            yield from _pipes(table_grid(table, _ALL_ROWS, captioned=True))
    for section in result.sections:
        yield from _markdown(section, min(6, level + 1))
    yield from _markdown_provenance(result, below)


def _markdown_provenance(result: Result, heading: str) -> Iterator[str]:
    made = result.provenance
    lines = [f"- seed: {made.seed}"] if made.seed is not None else []
    lines += [f"- data, {_plain(name)}: {_plain(text)}" for name, text in made.data.items()]
    if made.versions:
        versions = ", ".join(f"{name} {version}" for name, version in made.versions.items())
        lines.append(f"- versions: {_plain(versions)}")
    lines += [f"- command: {_plain(made.command)}"] if made.command else []
    if lines:
        yield from (f"{heading} How to reproduce it", "", *lines, "")


def _pipes(grid: Grid, *, caption: bool = True) -> Iterator[str]:
    if caption:
        yield from (f"{_plain(grid.caption)}{'' if grid.caption.endswith('.') else '.'}", "")
    yield "| " + " | ".join(_plain(name) for name in grid.columns) + " |"
    yield "|" + "|".join("---:" if numeric else "---" for numeric in grid.numeric) + "|"
    for row in grid.rows:
        yield "| " + " | ".join(_plain(cell) for cell in row) + " |"
    yield ""


def _plain(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(clean(text).split()))


def render_csv(result: Result) -> str:
    """Return the numbers of a result and its sections as one long table.

    A row of the result is a line; a numeric cell of one of its tables is a line too, with the
    table's name in "table", its row in "label" and its column in "metric". Text that a
    spreadsheet would run as a formula gets an apostrophe in front.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for line in _csv_lines(result, result.title):
        writer.writerow([_guard(cell) for cell in line])
    return out.getvalue()


def _csv_lines(result: Result, section: str) -> Iterator[Sequence[object]]:
    for row in result.rows:
        yield _csv_row(row, section)
    for table in result.tables:
        yield from _csv_table(table, section)
    for inner in result.sections:
        yield from _csv_lines(inner, f"{section} / {inner.title}")


def _csv_row(row: Row, section: str) -> Sequence[object]:
    group = "; ".join(f"{k}={v}" for k, v in sorted(row.group.items()))
    clusters = "; ".join(f"{k}={v}" for k, v in sorted(row.clusters.items()))
    return (
        section, "", row.metric, row.label, group, row.estimator, row.population, row.value,
        row.standard_error, row.lower, row.upper, row.level, row.p_value, row.p_adjusted, row.n,
        row.unit, row.effective_sample_size, clusters, row.interval_method, row.status, row.note,
    )  # fmt: skip


def _csv_table(table: Table, section: str) -> Iterator[Sequence[object]]:
    place = {name: i for i, name in enumerate(CSV_COLUMNS)}
    for row in table.rows:
        words = [str(cell) for cell in row if isinstance(cell, str)]
        label = "; ".join(words) or str(row[0] if row else "")
        for name, cell in zip(table.columns, row, strict=True):
            if isinstance(cell, int | float):
                line: list[object] = [None] * len(CSV_COLUMNS)
                line[place["section"]], line[place["table"]] = section, table.name
                line[place["label"]], line[place["metric"]] = label, name
                line[place["value"]], line[place["status"]] = cell, "ok"
                yield line


def _guard(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    text = " ".join(clean(cell).splitlines())
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
