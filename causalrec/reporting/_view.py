"""What the templates lay out: a result turned into texts and figures, nothing left to decide."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from causalrec.reporting._charts import draw_chart, is_balance, places_left_out
from causalrec.reporting._compose import DOUBTS, GATHERED, short_title
from causalrec.reporting._evidence import Grid, evidence_grid, table_grid
from causalrec.reporting._forest import draw_forest, panels
from causalrec.reporting._graph_picture import draw_graph
from causalrec.reporting._kinds import kind_words
from causalrec.reporting._marks import estimator_of
from causalrec.reporting._numbers import interval, number, row_decimals
from causalrec.reporting._spark import draw_spark
from causalrec.reporting._summary import Headline, headline
from causalrec.results import Assumption, Result, Table

_STATUS_ORDER = ("violated", "untestable", "tested", "by design")
_SMALL_ROWS, _SMALL_COLUMNS = 12, 4
_LEADING = frozenset({"frontier"})
"""Figures that are the answer drawn: they stand before the evidence."""


@dataclass
class Counters:
    """Numbers the figures and tables of a page, and remembers what it has said before."""

    figures: int = 0
    tables: int = 0
    assumptions: set[tuple[str, str]] = field(default_factory=set)
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
class Reproduction:
    """What is needed to make the numbers of a page again."""

    commands: tuple[str, ...]
    seeds: tuple[str, ...]
    data: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    configs: tuple[tuple[str, str], ...]
    """Title, and the configuration as text."""


@dataclass(frozen=True)
class Section:
    """One result, ready to be laid out."""

    anchor: str
    kind: str
    title: str
    question: str
    answer: str
    leading: tuple[Diagnostic, ...]
    forest: Figure | None
    evidence: NumberedTable | None
    notes: tuple[str, ...]
    family: str
    ledger: Ledger
    diagnostics: tuple[Diagnostic, ...]
    reproduce: Reproduction | None
    """Of the whole page, in its outermost section."""
    one_answer: bool
    """Whether the inner sections are about this one, and share its ledger."""
    doubt: bool
    part: bool
    """Whether it gathers tables only, which need no heading of their own."""
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
    whole = bool(result.sections) and result.kind in GATHERED
    one_answer = bool(result.sections) and not whole
    names = [f"{anchor}-{i}" for i, _ in enumerate(result.sections, start=1)]
    inner = [
        (_shortened(section, result, bare=one_answer), name)
        for section, name in zip(result.sections, names, strict=True)
    ]
    # What follows is numbered in the order in which the page has it.
    glances = _glances(result, names, counters) if whole else ()
    glance_number = counters.table() if glances else None
    new, said = _news(result, counters)
    leading = tuple(
        _diagnostic(t, counters, max_rows.diagnostics) for t in result.tables if _leads(result, t)
    )
    forest = None if whole else _forest(result, counters, max_rows.lines)
    evidence = None if whole else _evidence(result, counters, max_rows.evidence)
    ledger = None if one_answer else _ledger(result, new, said, counters)
    before, after = (
        [pair for pair in inner if (one_answer and pair[0].kind not in DOUBTS) == early]
        for early in (True, False)
    )
    sections = [build(section, counters, name, max_rows) for section, name in before]
    diagnostics = tuple(
        _diagnostic(table, counters, max_rows.diagnostics)
        for table in result.tables
        if not _leads(result, table)
    )
    sections += [build(section, counters, name, max_rows) for section, name in after]
    return Section(
        anchor=anchor,
        kind=kind_words(result, outermost="-" not in anchor),
        title=result.title,
        question=result.question,
        answer=result.answer,
        glances=glances,
        glance_number=glance_number,
        leading=leading,
        forest=forest,
        evidence=evidence,
        notes=result.notes,
        family=result.family,
        ledger=ledger or _ledger(result, new, said, counters),
        diagnostics=diagnostics,
        reproduce=None if "-" in anchor else _reproduce(result),
        one_answer=one_answer,
        doubt=result.kind in DOUBTS,
        part=result.kind.startswith(("part_", "model_card_")) and not result.rows,
        sections=tuple(sections),
    )


def _leads(result: Result, table: Table) -> bool:
    return table.figure in _LEADING or (result.kind == "simulation" and table.figure == "lines")


def _shortened(section: Result, outer: Result, *, bare: bool) -> Result:
    """Return a section with a title of its own, and without the graph that stands outside."""
    update: dict[str, object] = {"title": short_title(outer.title, section.title)}
    if bare and section.graph_dot == outer.graph_dot:
        update |= {"graph_dot": "", "adjustment": ()}
    return section.model_copy(update=update)


def _news(result: Result, counters: Counters) -> tuple[list[Assumption], tuple[str, ...]]:
    """Return the assumptions that the page has not said yet, and the names of those it has."""
    keys = {(a.name, a.statement): a for a in result.assumptions}
    known = counters.assumptions & set(keys)
    counters.assumptions.update(keys)
    said = dict.fromkeys(a.name for key, a in keys.items() if key in known)
    return [a for key, a in keys.items() if key not in known], tuple(said)


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
    both = any(estimator_of(row) == "naive" for row in result.rows)
    words = "Naive and debiased estimates" if both else "Estimates"
    return Figure(counters.figure(), f"{words}{what}.{cut}", wide, narrow)


def _evidence(result: Result, counters: Counters, max_rows: int) -> NumberedTable | None:
    if not result.rows:
        return None
    return NumberedTable(counters.table(), evidence_grid(result.rows, max_rows, grouped=True))


def _diagnostic(table: Table, counters: Counters, max_rows: int) -> Diagnostic:
    drawn = draw_chart(table, identity=f"figure-{counters.figures + 1}")
    left_out = places_left_out(table)
    first = "largest" if is_balance(table) else "first"
    drawn_only = f" The {first} {len(table.rows) - left_out} of {len(table.rows)} are drawn."
    caption = table.caption + (drawn_only if left_out else "")
    figure = Figure(counters.figure(), caption, drawn) if drawn is not None else None
    grid = table_grid(table, max_rows, captioned=figure is None)
    small = len(table.rows) <= _SMALL_ROWS and len(table.columns) <= _SMALL_COLUMNS
    return Diagnostic(
        title=table.title,
        figure=figure,
        table=NumberedTable(counters.table(), grid),
        folded=table.name != "scope"
        and len(table.rows) > (_SMALL_ROWS if small or figure is None else _SMALL_ROWS // 2),
        beside=figure is not None and small,
    )


def _ledger(
    result: Result, new: Sequence[Assumption], said: tuple[str, ...], counters: Counters
) -> Ledger:
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


def _reproduce(result: Result) -> Reproduction | None:
    """Return how to make a page again, each thing once, whoever says it."""
    every = list(_inside(result))
    made = [one.provenance for one in every]
    seeds: dict[str, list[str]] = {}
    configs: dict[str, str] = {}
    for one in every:
        if one.provenance.seed is not None:
            seeds.setdefault(str(one.provenance.seed), []).append(one.title)
        if one.provenance.config:
            text = json.dumps(one.provenance.config, indent=1, ensure_ascii=False, sort_keys=True)
            configs.setdefault(text, one.title)
    found = Reproduction(
        commands=tuple(dict.fromkeys(p.command for p in made if p.command)),
        seeds=tuple(seeds)
        if len(seeds) < 2
        else tuple(f"{seed} ({'; '.join(titles)})" for seed, titles in seeds.items()),
        data=tuple(dict.fromkeys(pair for p in made for pair in p.data.items())),
        versions=tuple(dict.fromkeys(pair for p in made for pair in p.versions.items())),
        configs=tuple((title, text) for text, title in configs.items()),
    )
    known = (found.commands, found.seeds, found.data, found.versions, found.configs)
    return found if any(known) else None


def _inside(result: Result) -> Iterator[Result]:
    yield result
    for section in result.sections:
        yield from _inside(section)


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
