"""A model card: what is known of a model, in the order that readers of such cards expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from causalrec.errors import StudyError
from causalrec.reporting._gathered import (
    data_table,
    flattened,
    groups_table,
    methods_table,
    missing_table,
    notes_of,
)
from causalrec.reporting._statements import ModelDetails
from causalrec.results import Result, Row, Table, ledger

DETAILS = ("name", "version", "date", "kind", "developers", "license", "contact")
USE = ("intended use", "intended users", "out of scope")


def model_card(
    results: Result | Sequence[Result], details: ModelDetails | Mapping[str, Any] | None = None
) -> Result:
    """Make the model card of what results say about a model.

    Parameters
    ----------
    results : Result or sequence of Result
        Evaluations and audits of the model.
    details : ModelDetails or mapping, optional
        What people state of it; what is left out is said to be not stated.

    Returns
    -------
    Result
        Of kind "model_card": model details, intended use, factors, metrics, evaluation data,
        training data, quantitative analyses (overall, unitary, intersectional), ethical
        considerations, caveats. Every number is a row of a result, with its interval.

    Raises
    ------
    StudyError
        If there is no result, or a detail has a name that is not known.

    Notes
    -----
    The sections are those of Mitchell et al. (2019).

    Examples
    --------
    >>> from causalrec.results import Row
    >>> audit = Result(kind="audit", title="Audit", rows=(
    ...     Row(label="mse: country=A", value=0.9, n=50, group={"country": "A"}),))
    >>> card = model_card(audit, {"name": "songs"})
    >>> [part.title for part in card.sections][5:]
    ['Quantitative analyses: unitary', 'Caveats and ethical considerations']
    """
    given = [results] if isinstance(results, Result) else list(results)
    if not given or not all(isinstance(one, Result) for one in given):
        raise StudyError("A model card is made of results: pass at least one, and nothing else.")
    stated = ModelDetails.of(details)
    table = stated.table("details", "As stated by those responsible")
    parts = [
        _part("Model details", tables=(_rows_of(table, DETAILS, "Model details"),)),
        _part("Intended use", tables=(_rows_of(table, USE, "Intended use"),)),
        _part("Factors", tables=_filled(groups_table(given))),
        _part("Metrics", tables=_filled(methods_table(given))),
        _part(
            "Evaluation and training data",
            tables=(
                *_filled(data_table(given)),
                _rows_of(table, ("training data",), "Training data"),
            ),
        ),
        *_analyses(given),
        _part(
            "Caveats and ethical considerations",
            tables=(
                _rows_of(table, ("ethical considerations", "recommendations"), "Considerations"),
                *_filled(missing_table(given)),
            ),
            notes=notes_of(given),
            assumptions=ledger(given),
        ),
    ]
    return Result(
        kind="model_card",
        title=f"Model card: {stated.name}" if stated.name else "Model card",
        question="What is this model for, how good is it, for whom, and what is not known?",
        answer=" ".join(one.answer for one in given if one.answer),
        notes=(f"Not stated: {', '.join(stated.missing)}.",) if stated.missing else (),
        sections=tuple(parts),
    )


def _part(title: str, **content: Any) -> Result:
    return Result(kind="model_card_section", title=title, **content)


def _filled(table: Table) -> tuple[Table, ...]:
    return (table,) if table.rows else ()


def _rows_of(table: Table, names: Sequence[str], title: str) -> Table:
    rows = tuple(row for row in table.rows if row[0] in names)
    return table.model_copy(update={"name": title.lower(), "title": title, "rows": rows})


def _analyses(results: Sequence[Result]) -> list[Result]:
    """Return the numbers of everybody, of single attributes, and of their crossings."""
    kinds: dict[str, list[Row]] = {"overall": [], "unitary": [], "intersectional": []}
    for one in flattened(results):
        groups = {row.label: row.group for row in one.rows}
        for row in one.rows:
            about = [row.group, *(groups.get(label, {}) for label in row.derived_from)]
            width = max(len(group) for group in about)
            kind = "overall" if width == 0 else "unitary" if width == 1 else "intersectional"
            kinds[kind].append(row)
    return [
        _part(f"Quantitative analyses: {kind}", rows=tuple(rows))
        for kind, rows in kinds.items()
        if rows
    ]
