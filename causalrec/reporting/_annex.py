"""An evidence annex in the order that the audit regulation of the Digital Services Act asks."""

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
    tested_table,
    without_ledger,
)
from causalrec.reporting._statements import AuditScope
from causalrec.results import Result, Table, ledger

NO_OPINION = (
    "This annex is evidence for whoever has to form an opinion. It states none, on compliance or"
    " anything else."
)


def evidence_annex(
    results: Result | Sequence[Result],
    scope: AuditScope | Mapping[str, Any] | None = None,
    *,
    title: str = "Evidence annex",
) -> Result:
    """Put results in order as evidence: methodology, data, tests, results, limits.

    Parameters
    ----------
    results : Result or sequence of Result
        What was asked: audits, impact ratios, evaluations, comparisons.
    scope : AuditScope or mapping, optional
        What people state of the audit; what is left out is said to be not stated.
    title : str

    Returns
    -------
    Result
        Of kind "evidence_annex", to be written by `write_report` in any form. It holds no number
        of its own: all of them, with their intervals and suppressions, are those of the results,
        and the limits those of their ledgers.

    Raises
    ------
    StudyError
        If there is no result, or the scope has a name that is not known.

    Notes
    -----
    Delegated Regulation (EU) 2024/436 on audits under Article 37 of Regulation (EU) 2022/2065 asks
    an auditor for an opinion; evidence for it is all that this is.

    Examples
    --------
    >>> from causalrec.results import Row
    >>> audit = Result(kind="audit", title="Audit of songs", rows=(Row(label="gap", value=0.1),))
    >>> annex = evidence_annex(audit, {"system": "songs", "auditor": "somebody"})
    >>> [part.title for part in annex.sections]
    ['Methodology', 'Data', 'Tests', 'Results', 'Limits']
    """
    given = [results] if isinstance(results, Result) else list(results)
    if not given or not all(isinstance(one, Result) for one in given):
        raise StudyError("An annex is made of results: pass at least one, and nothing else.")
    stated = AuditScope.of(scope)
    parts = (
        _methodology(given, stated),
        _data(given),
        _tests(given),
        _results(given),
        _limits(given, stated),
    )
    about = f" on {stated.system}" if stated.system else ""
    return Result(
        kind="evidence_annex",
        title=title,
        question=f"What is the evidence{about}, how was it made, and what does it not show?",
        answer=f"{' '.join(_answers(given))} {NO_OPINION}".strip(),
        sections=parts,
    )


def _answers(results: Sequence[Result]) -> list[str]:
    return [one.answer for one in results if one.answer]


def _methodology(results: Sequence[Result], scope: AuditScope) -> Result:
    """Return what is audited, and by which methods."""
    return Result(
        kind="part_1",
        title="Methodology",
        tables=(
            scope.table("scope", "What is audited, as stated by those responsible"),
            methods_table(results),
        ),
    )


def _data(results: Sequence[Result]) -> Result:
    tables = [data_table(results), groups_table(results)]
    return Result(
        kind="part_2",
        title="Data",
        tables=tuple(table for table in tables if table.rows),
        notes=() if tables[0].rows else ("The results carry no fingerprint of their data.",),
    )


def _tests(results: Sequence[Result]) -> Result:
    table = tested_table(results)
    checked = [one for one in ledger(results) if one.status in {"tested", "violated"}]
    violated = sum(one.status == "violated" for one in checked)
    said = (
        f"{len(table.rows)} numbers were tested. {len(checked)} assumptions were put to a test,"
        f" {violated} of them violated."
    )
    return Result(
        kind="part_3",
        title="Tests",
        answer=said,
        tables=(table,) if table.rows else (),
        assumptions=tuple(checked),
    )


def _results(results: Sequence[Result]) -> Result:
    return Result(
        kind="study", title="Results", sections=tuple(without_ledger(one) for one in results)
    )


def _limits(results: Sequence[Result], scope: AuditScope) -> Result:
    missing = missing_table(results)
    rows = sum(len(one.rows) for one in flattened(results))
    untested = [one for one in ledger(results) if one.status in {"untestable", "by design"}]
    said = [
        f"Of {rows} numbers {len(missing.rows) or 'none'} are suppressed, not estimable or stand on"
        " little."
        f" {sum(one.status == 'untestable' for one in untested)} assumptions cannot be tested."
    ]
    if scope.not_audited:
        said.append(f"Not audited, as stated: {scope.not_audited}")
    notes = [*notes_of(results)]
    if scope.missing:
        notes.insert(0, f"Not stated of the scope: {', '.join(scope.missing)}.")
    tables: tuple[Table, ...] = (missing,) if missing.rows else ()
    return Result(
        kind="part_5",
        title="Limits",
        answer=" ".join(said),
        tables=tables,
        notes=(*notes, NO_OPINION),
        assumptions=tuple(untested),
    )
