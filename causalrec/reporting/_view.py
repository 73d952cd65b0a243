"""What the templates lay out: a result turned into texts and figures, nothing left to decide."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from causalrec.reporting._charts import draw_chart, places_left_out
from causalrec.reporting._evidence import Grid, evidence_grid, table_grid
from causalrec.reporting._forest import draw_forest, panels
from causalrec.reporting._graph_picture import draw_graph
from causalrec.reporting._numbers import interval, number, row_decimals
from causalrec.reporting._spark import draw_spark
from causalrec.reporting._summary import Headline, headline
from causalrec.results import Assumption, Provenance, Result, Table

_KIND_WORDS = {
    "effect": "Effect of exposure",
    "mean": "Debiased mean",
    "bounds": "Bounds",
    "evaluation": "Evaluation",
    "policy_value": "Policy value",
    "comparison": "Comparison with a randomised slice",
    "audit": "Fairness audit",
    "tuning": "Tuning",
    "propensity": "Propensity diagnostics",
    "graph_check": "Check of a graph",
    "study": "Study",
}
_STATUS_ORDER = ("violated", "untestable", "tested", "by design")
_SMALL_ROWS, _SMALL_COLUMNS = 12, 4


@dataclass
class Counters:
    """Numbers the figures and tables of a page, and remembers what it has said before."""

    figures: int = 0
    tables: int = 0
    assumptions: set[Assumption] = field(default_factory=set)
    provenance: set[tuple[str, str]] = field(default_factory=set)
    graphs: dict[tuple[str, tuple[str, ...]], int] = field(default_factory=dict)

    def figure(self) -> int:
        """Return the next figure's number."""
        self.figures += 1
        return self.figures

    def table(self) -> int:
        """Return the next table's number."""
        self.tables += 1
        return self.tables


@dataclass(frozen=True)
class MaxRows:
    """How many rows of a long table, and lines of a forest, are laid out."""

    evidence: int
    diagnostics: int
    lines: int


@dataclass(frozen=True)
class Figure:
    """A numbered figure; `narrow` is the drawing for a telephone, if there is another."""

    number: int
    caption: str
    wide: Markup
    narrow: Markup | None = None


@dataclass(frozen=True)
class NumberedTable:
    """A numbered table."""

    number: int
    grid: Grid


@dataclass(frozen=True)
class Diagnostic:
    """A table and, where it has one, its figure."""

    title: str
    figure: Figure | None
    table: NumberedTable
    folded: bool
    beside: bool


@dataclass(frozen=True)
class Glance:
    """A question's line in the summary of a study."""

    anchor: str
    question: str
    quantity: str
    naive: str
    debiased: str
    between: str
    truth: str
    spark: Markup


@dataclass(frozen=True)
class Ledger:
    """The assumptions, the graph that they were read from, and what it adjusts for."""

    assumptions: tuple[Assumption, ...]
    overturns: tuple[Assumption, ...]
    said: tuple[str, ...]
    """Names of the assumptions that stand further up on the page."""
    graph: Figure | None
    graph_above: int | None
    adjustment: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """One result, ready to be laid out."""

    anchor: str
    kind: str
    title: str
    question: str
    answer: str
    forest: Figure | None
    evidence: NumberedTable | None
    notes: tuple[str, ...]
    family: str
    ledger: Ledger
    diagnostics: tuple[Diagnostic, ...]
    provenance: Provenance
    """Without what stands further up on the page."""
    config: str
    glances: tuple[Glance, ...]
    glance_number: int | None
    sections: tuple[Section, ...]


def build(result: Result, counters: Counters, anchor: str, max_rows: MaxRows) -> Section:
    """Return a result as a section of a page.

    Parameters
    ----------
    result : Result
    counters : Counters
        Shared by all sections of the page.
    anchor : str
        The section's id.
    max_rows : MaxRows
        Longer tables are cut, and say so.
    """
    whole = bool(result.sections) and result.kind == "study"
    names = [f"{anchor}-{i}" for i, _ in enumerate(result.sections, start=1)]
    glances = _glances(result, names, counters) if whole else ()
    return Section(
        anchor=anchor,
        kind=_KIND_WORDS.get(result.kind, result.kind),
        title=result.title,
        question=result.question,
        answer=result.answer,
        glances=glances,
        glance_number=counters.table() if glances else None,
        forest=None if whole else _forest(result, counters, max_rows.lines),
        evidence=None if whole else _evidence(result, counters, max_rows.evidence),
        notes=result.notes,
        family=result.family,
        ledger=_ledger(result, counters),
        diagnostics=tuple(
            _diagnostic(table, counters, max_rows.diagnostics) for table in result.tables
        ),
        provenance=_news(result.provenance, counters),
        config=json.dumps(result.provenance.config, indent=1, ensure_ascii=False, sort_keys=True),
        sections=tuple(
            build(section, counters, name, max_rows)
            for section, name in zip(result.sections, names, strict=True)
        ),
    )


def _forest(result: Result, counters: Counters, max_lines: int) -> Figure | None:
    name = f"figure-{counters.figures + 1}"
    title = f"{result.title}: estimates with their intervals"
    wide, narrow = (
        draw_forest(result.rows, title=title, identity=f"{name}{end}", narrow=bool(end),
                    max_lines=max_lines)
        for end in ("", "-narrow")
    )  # fmt: skip
    if wide is None:
        return None
    levels = sorted({f"{row.level:.0%}" for row in result.rows if row.lower is not None})
    what = f" with {' and '.join(levels)} intervals" if levels else ""
    lines = sum(len(panel.lines) for panel in panels(result.rows))
    cut = f" The first {max_lines} of {lines} lines are drawn." if lines > max_lines else ""
    return Figure(counters.figure(), f"Naive and debiased estimates{what}.{cut}", wide, narrow)


def _evidence(result: Result, counters: Counters, max_rows: int) -> NumberedTable | None:
    if not result.rows:
        return None
    return NumberedTable(counters.table(), evidence_grid(result.rows, max_rows, grouped=True))


def _diagnostic(table: Table, counters: Counters, max_rows: int) -> Diagnostic:
    drawn = draw_chart(table, identity=f"figure-{counters.figures + 1}")
    left_out = places_left_out(table)
    drawn_only = f" The first {len(table.rows) - left_out} of {len(table.rows)} are drawn."
    caption = table.caption + (drawn_only if left_out else "")
    figure = Figure(counters.figure(), caption, drawn) if drawn is not None else None
    grid = table_grid(table, max_rows, captioned=figure is None)
    small = len(table.rows) <= _SMALL_ROWS and len(table.columns) <= _SMALL_COLUMNS
    return Diagnostic(
        title=table.title,
        figure=figure,
        table=NumberedTable(counters.table(), grid),
        folded=len(table.rows) > (_SMALL_ROWS if small or figure is None else _SMALL_ROWS // 2),
        beside=figure is not None and small,
    )


def _ledger(result: Result, counters: Counters) -> Ledger:
    new = [a for a in result.assumptions if a not in counters.assumptions]
    said = tuple(a.name for a in result.assumptions if a in counters.assumptions)
    counters.assumptions.update(new)
    ranked = [_spoken(a) for a in sorted(new, key=lambda a: _STATUS_ORDER.index(a.status))]
    key = (result.graph_dot, result.adjustment)
    above = counters.graphs.get(key) if result.graph_dot else None
    figure = None
    # A study draws its graph in the sections, where the adjustment set is known.
    deferred = any(section.graph_dot == result.graph_dot for section in result.sections)
    if result.graph_dot and above is None and not deferred:
        place = counters.figures + 1
        picture = draw_graph(result.graph_dot, result.adjustment, identity=f"figure-{place}")
        if picture is not None:
            figure = Figure(counters.figure(), "The declared causal graph.", picture)
            counters.graphs[key] = figure.number
    return Ledger(
        assumptions=tuple(a for a in ranked if a.status not in {"violated", "untestable"}),
        overturns=tuple(a for a in ranked if a.status in {"violated", "untestable"}),
        said=said,
        graph=figure,
        graph_above=above,
        adjustment=result.adjustment,
    )


def _spoken(assumption: Assumption) -> Assumption:
    """Return an assumption whose statement and evidence are sentences."""
    texts = {"statement": assumption.statement, "evidence": assumption.evidence}
    return assumption.model_copy(update={name: sentence(text) for name, text in texts.items()})


def sentence(text: str) -> str:
    """Return a text with a capital letter and a full stop; a formula stays as it is.

    Examples
    --------
    >>> sentence("each row counts once"), sentence("sum(1/p) = 1"), sentence("")
    ('Each row counts once.', 'sum(1/p) = 1.', '')
    """
    text = text.strip()
    if text and text.split()[0].isalpha():
        text = text[0].upper() + text[1:]
    return text if not text or text[-1] in ".!?:" else f"{text}."


def _news(made: Provenance, counters: Counters) -> Provenance:
    """Return what the page has not yet said of versions and data."""
    versions = tuple(made.versions.items())
    known = counters.provenance
    new_versions = {} if set(versions) <= known else made.versions
    new_data = {name: text for name, text in made.data.items() if (name, text) not in known}
    known.update(versions, made.data.items())
    return made.model_copy(update={"versions": new_versions, "data": new_data})


def _glances(result: Result, anchors: Sequence[str], counters: Counters) -> tuple[Glance, ...]:
    lines = []
    for section, anchor in zip(result.sections, anchors, strict=True):
        line = headline(section)
        if line is not None:
            lines.append(_glance(line, anchor))
    return tuple(lines)


def _glance(line: Headline, anchor: str) -> Glance:
    decimals = row_decimals(line.rows)
    naive = number(line.naive.value, decimals) if line.naive else ""
    truth = number(line.truth.value, decimals) if line.truth else ""
    return Glance(
        anchor=anchor,
        question=line.question,
        quantity=line.quantity,
        naive=naive,
        debiased=number(line.debiased.value, decimals),
        between=interval(line.debiased, decimals),
        truth=truth,
        spark=draw_spark(line, identity=f"spark-{anchor}"),
    )
