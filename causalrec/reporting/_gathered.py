"""What several results say, gathered into tables: methods, data, groups, tests, what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from causalrec.results import Result, Row, Table, format_cell


def flattened(results: Iterable[Result]) -> Iterator[Result]:
    """Yield every result with rows or tables, those inside others too."""
    for one in results:
        yield one
        yield from flattened(one.sections)


def methods_table(results: Sequence[Result]) -> Table:
    """Return what was asked and how it was answered, one line a result."""
    lines = [
        (
            one.title,
            one.question,
            _distinct(row.estimator for row in one.rows),
            _distinct(row.population for row in one.rows),
            _distinct(_method(row) for row in one.rows),
            one.family or "none declared",
        )
        for one in flattened(results)
        if one.rows
    ]
    return Table(
        name="methods",
        title="Questions, and how each was answered",
        columns=("result", "question", "estimators", "population", "intervals", "multiplicity"),
        rows=tuple(lines),
        caption="As the results carry it; formulas and papers are in the documentation.",
    )


def _method(row: Row) -> str:
    return f"{row.interval_method} ({row.level:.0%})" if row.interval_method else ""


def _distinct(texts: Iterable[str], at_most: int = 4) -> str:
    found = list(dict.fromkeys(text for text in texts if text))
    rest = len(found) - at_most
    return "; ".join(found[:at_most]) + (f"; and {rest} more" if rest > 0 else "")


def data_table(results: Sequence[Result]) -> Table:
    """Return the fingerprints of the data, each once, and whose result used it."""
    used: dict[tuple[str, str], list[str]] = {}
    for one in flattened(results):
        for name, text in one.provenance.data.items():
            used.setdefault((name, text), []).append(one.title)
    return Table(
        name="data",
        title="The data, by fingerprint",
        columns=("data", "what it is", "used by"),
        rows=tuple(
            (name, text, "; ".join(dict.fromkeys(titles))) for (name, text), titles in used.items()
        ),
        caption="A sha256 is of the normalised content: whoever holds the data can check it.",
    )


def groups_table(results: Sequence[Result]) -> Table:
    """Return the groups that were looked at, with their sizes as far as they are shown."""
    found: dict[tuple[str, str], tuple[int | str | None, str]] = {}
    for one in flattened(results):
        for row in one.rows:
            if not row.group:
                continue
            key = (" x ".join(row.group), ", ".join(row.group.values()))
            size: int | str | None = "suppressed" if row.status == "suppressed" else row.n
            # Hidden in one result is hidden here, whatever another shows.
            if key not in found or size == "suppressed":
                found[key] = (size, row.unit)
    return Table(
        name="groups",
        title="The groups, and how large they are",
        columns=("attribute", "group", "n", "unit"),
        rows=tuple((*key, size, unit) for key, (size, unit) in sorted(found.items())),
        caption="Groups that are suppressed were looked at, and are too small to be shown.",
    )


def tested_table(results: Sequence[Result]) -> Table:
    """Return every number that was tested: its interval, its p, and p within its family."""
    lines = []
    for one in flattened(results):
        for row in one.rows:
            tested = row.p_adjusted is not None or (row.derived_from and row.p_value is not None)
            if tested and row.status != "suppressed":
                interval = (
                    "no interval"
                    if row.lower is None or row.upper is None
                    else f"[{format_cell(row.lower)}, {format_cell(row.upper)}]"
                )
                lines.append(
                    (one.title, row.label, row.value, interval, row.p_value, row.p_adjusted)
                )
    return Table(
        name="tests",
        title="The numbers that were tested",
        columns=("result", "number", "value", "interval", "p", "p adjusted"),
        rows=tuple(lines),
        caption="Adjusted within the family that the result declares; intervals say more than p.",
    )


def missing_table(results: Sequence[Result]) -> Table:
    """Return the numbers that are not there or stand on little, and why."""
    lines = [
        (one.title, row.label, row.status.replace("_", " "), row.note)
        for one in flattened(results)
        for row in one.rows
        if row.status != "ok"
    ]
    return Table(
        name="missing",
        title="Numbers that are suppressed, not estimable, or stand on little",
        columns=("result", "number", "status", "why"),
        rows=tuple(lines),
        caption="Suppressed is not the same as absent: the group was looked at.",
    )


def notes_of(results: Sequence[Result]) -> tuple[str, ...]:
    """Return every caveat once, with the result that says it."""
    found: dict[str, str] = {}
    for one in flattened(results):
        for note in one.notes:
            found.setdefault(note, one.title)
    return tuple(f"{title}: {note}" for note, title in found.items())


def without_ledger(result: Result) -> Result:
    """Return a result whose assumptions stand elsewhere."""
    return result.model_copy(
        update={
            "assumptions": (),
            "notes": (),
            "sections": tuple(without_ledger(one) for one in result.sections),
        }
    )
