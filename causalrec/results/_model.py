"""The one result model: what every question of the toolkit is answered with.

A `Result` is data: rows with intervals, tables with a hint of how to draw them, assumptions with
their status, provenance. It knows nothing of how it was computed nor how it will be drawn. The
numeric internals (the influence) stay beside it in private attributes and are never serialised:
an influence would undo the suppression of small cells.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from causalrec.errors import ModelFileError, ResultError

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = "1.0"

RowStatus = Literal["ok", "suppressed", "not_estimable", "low_support"]
AssumptionStatus = Literal["by design", "tested", "untestable", "violated"]
FigureKind = Literal[
    "forest", "bars", "histogram", "dots", "lines", "lorenz", "contour", "waterfall", "frontier"
]  # fmt: skip

FRAME_COLUMNS = (
    "label",
    "value",
    "standard_error",
    "lower",
    "upper",
    "level",
    "p_value",
    "n",
    "population",
    "estimator",
    "status",
)


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")


class Assumption(_Frozen):
    """One thing the answer rests on, and what is known about it."""

    name: str
    """A short standard name: "no unmeasured confounding", "overlap", "no interference"."""
    statement: str
    """What it says here, in a sentence with the names of the columns."""
    status: AssumptionStatus
    evidence: str = ""
    """The figure of the test, or of the sensitivity analysis that stands in for one."""
    questions: tuple[str, ...] = ()
    """Titles of the results that rest on it, in a ledger of several; empty for its own."""

    @classmethod
    def each(cls, said: Iterable[tuple[str, str, AssumptionStatus]]) -> tuple[Self, ...]:
        """Return an assumption for each (name, statement, status), as identification says them."""
        return tuple(
            cls(name=name, statement=statement, status=status) for name, statement, status in said
        )


class Row(_Frozen):
    """One number that goes to a person, with its interval or the reason why it has none."""

    label: str
    value: float | None = None
    standard_error: float | None = None
    lower: float | None = None
    upper: float | None = None
    level: float = 0.95
    p_value: float | None = None
    n: int | None = None
    """Independent subjects or cells behind the number; `unit` says which."""
    population: str = ""
    estimator: str = ""
    status: RowStatus = "ok"
    unit: str = "cells"
    metric: str = ""
    """What is measured ("mse", "dcg@5", "effect", "exposure"), so that rows can be grouped."""
    group: dict[str, str] = Field(default_factory=dict)
    """Attribute -> level of the group the number speaks of; empty for everybody."""
    p_adjusted: float | None = None
    effective_sample_size: float | None = None
    clusters: dict[str, int] = Field(default_factory=dict)
    interval_method: str = ""
    derived_from: tuple[str, ...] = ()
    """Labels of the rows that this is computed from (a gap, a ratio); it is hidden with them."""
    note: str = ""


class Table(_Frozen):
    """A plain table beside the rows (diagnostics, balance, overlap), with a hint for a figure."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | int | bool | None, ...], ...]
    caption: str = ""
    figure: FigureKind | None = None
    x: str = ""
    """Column on the horizontal axis (or of the category), where `figure` is set."""
    y: tuple[str, ...] = ()
    """Columns drawn, one series each. Of a "contour": the vertical axis, the height, and perhaps a
    second height whose zero is marked too; rows with a name in a further column are points. Of a
    "waterfall": the part, and the ends of its interval; the last row is the sum of the others. Of a
    "frontier": the vertical axis; the ends of both axes' intervals are in "NAME, lower" and "NAME,
    upper"."""

    def to_frame(self) -> pd.DataFrame:
        """Return the table as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(list(self.rows), columns=list(self.columns))


class Provenance(_Frozen):
    """How to make the same numbers again."""

    versions: dict[str, str] = Field(default_factory=dict)
    seed: int | None = None
    data: dict[str, str] = Field(default_factory=dict)
    """Name of the data -> fingerprint (rows, users, items, sha256)."""
    config: dict[str, Any] = Field(default_factory=dict)
    command: str = ""


class Result(_Frozen):
    """The answer to one question (or, with `sections`, to several).

    Rooms above subclass it to add verbs that need the log; the data model stays this one, so a
    reloaded result of any kind is a `Result`.
    """

    schema_version: str = SCHEMA_VERSION
    kind: str
    """What was asked. Of exposure: "effect" (also by group, by an instrument or a front door),
    "estimators", "heterogeneity", "validation", "policy_tree", "paths", "interference",
    "refutation", "sensitivity". Of preference: "mean", "bounds", "comparison", "evaluation",
    "policy_value", "tuning", "randomization_plan". Of fairness: "audit", "impact_ratios",
    "mitigations", "simulation". Of what these rest on: "graph_check", "propensity". Of several:
    "study", "evidence_annex", "model_card"."""
    title: str
    name: str = ""
    """The question's name in a study."""
    question: str = ""
    answer: str = ""
    """The answer in a sentence or two, with its interval: what the report opens with."""
    rows: tuple[Row, ...] = ()
    tables: tuple[Table, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    notes: tuple[str, ...] = ()
    """Caveats and counts of what was filtered, clipped or unsupported."""
    family: str = ""
    """The declared multiplicity family and its correction, in words."""
    graph_dot: str = ""
    adjustment: tuple[str, ...] = ()
    provenance: Provenance = Field(default_factory=Provenance)
    sections: tuple[Result, ...] = ()

    _internals: dict[str, Any] = PrivateAttr(default_factory=dict)

    def internal(self, name: str) -> Any:
        """Return a numeric internal ("estimate", "propensity"...), or say why there is none."""
        try:
            return self._internals[name]
        except KeyError:
            raise ResultError(
                f"This {self.kind} result has no {name} beside it: it was reloaded from a file"
                " (an influence is never written, it would undo the suppression of small cells)"
                " or never had one. Run the question again on the log."
            ) from None

    def with_internals(self, **internals: Any) -> Result:
        """Return a copy of the same class that carries these numeric internals."""
        copied = self.model_copy()
        copied._internals = {**self._internals, **internals}
        return copied

    def __getitem__(self, label: str) -> Row:
        for row in self.rows:
            if row.label == label:
                return row
        known = ", ".join(repr(row.label) for row in self.rows)
        raise KeyError(f"No row {label!r}; the rows are {known}.")

    def to_frame(self) -> pd.DataFrame:
        """Return the rows as a DataFrame with the fixed columns, one row a label."""
        import pandas as pd

        return pd.DataFrame(
            [[getattr(row, column) for column in FRAME_COLUMNS] for row in self.rows],
            columns=list(FRAME_COLUMNS),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain JSON types."""
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        """Return the result as deterministic JSON text."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Result:
        """Read a result written by `to_json`; its numeric internals are gone.

        Raises
        ------
        ModelFileError
            If the text is not a result of this schema.
        """
        try:
            found = Result.model_validate_json(text)
        except ValidationError as error:
            raise ModelFileError(f"This is not a causalrec result: {error}") from None
        if found.schema_version.split(".")[0] != SCHEMA_VERSION.split(".", maxsplit=1)[0]:
            raise ModelFileError(
                f"This result has schema {found.schema_version}; this version reads"
                f" {SCHEMA_VERSION}. Write it again with the version that made it."
            )
        return found

    @classmethod
    def load(cls, path: str | Path) -> Result:
        """Read a result from a JSON file."""
        return cls.from_json(Path(path).read_text(encoding="utf-8"))

    def summary(self) -> str:
        """Return the answer, the rows and the assumptions as plain text."""
        lines = [self.title, ""]
        lines += [self.answer, ""] if self.answer else []
        if self.rows:
            width = max(len(row.label) for row in self.rows)
            lines += [f"  {row.label:<{width}}  {format_row(row)}" for row in self.rows]
            lines.append("")
        for a in self.assumptions:
            words = " ".join(map(_stopped, filter(None, (a.statement, a.evidence))))
            lines.append(f"  [{a.status}] {a.name}: {words}")
        lines += [f"  note: {note}" for note in self.notes]
        for section in self.sections:
            lines += ["", section.summary()]
        return "\n".join(lines).rstrip() + "\n"

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        caption = html.escape(self.answer or self.title)
        if not self.rows:
            titles = "".join(f"<li>{html.escape(table.title)}</li>" for table in self.tables)
            return f"<p>{caption}</p>" + (f"<ul>{titles}</ul>" if titles else "")
        head = "".join(f"<th scope='col'>{html.escape(c)}</th>" for c in FRAME_COLUMNS)
        body = "".join(
            "<tr>"
            + "".join(
                f"<td>{html.escape(format_cell(getattr(row, column)))}</td>"
                for column in FRAME_COLUMNS
            )
            + "</tr>"
            for row in self.rows
        )
        return f"<table><caption>{caption}</caption><tr>{head}</tr>{body}</table>"


def _stopped(text: str) -> str:
    """Return a text that ends like a sentence."""
    text = text.strip()
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."


def format_cell(value: object) -> str:
    """Return a cell as text: four significant digits, an empty string for what is not there.

    Examples
    --------
    >>> format_cell(0.123456), format_cell(None), format_cell("ok"), format_cell(12345)
    ('0.1235', '', 'ok', '12,345')
    """
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.1f}"


def format_row(row: Row) -> str:
    """Return one row as text: value, interval, and its status where it is not "ok".

    Examples
    --------
    >>> format_row(Row(label="effect", value=0.0831, lower=0.05, upper=0.12, n=40))
    '0.0831  [0.05, 0.12] 95%  n=40 cells'
    """
    if row.status == "suppressed":
        return "suppressed (small cell)"
    parts = [format_cell(row.value) if row.value is not None else "no point estimate"]
    if row.lower is not None and row.upper is not None:
        interval = f"[{format_cell(row.lower)}, {format_cell(row.upper)}]"
        parts.append(f"{interval} {row.level:.0%}")
    if row.n is not None:
        parts.append(f"n={row.n:,} {row.unit}")
    if row.status != "ok":
        parts.append(f"({row.status.replace('_', ' ')})")
    if row.note:
        parts.append(f"({row.note})")
    return "  ".join(parts)
