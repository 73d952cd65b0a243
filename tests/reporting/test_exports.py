"""Every form of a report: nothing suppressed is in it, hostile text stays text."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import html5lib
import pytest
import report_examples
from hypothesis import given, settings
from hypothesis import strategies as st

from causalrec.errors import StudyError
from causalrec.reporting import (
    render_csv,
    render_html,
    render_latex,
    render_markdown,
    write_report,
)
from causalrec.results import Result, Row, Table, suppress_small_cells, suppress_table

TEMPLATES = Path(write_report.__code__.co_filename).parent / "templates"
ENDINGS = (".html", ".json", ".md", ".csv", ".tex")
RENDERERS = {
    ".html": render_html,
    ".json": Result.to_json,
    ".md": render_markdown,
    ".csv": render_csv,
    ".tex": render_latex,
}
EXAMPLES = {
    "effect": report_examples.effect_result,
    "evaluation": report_examples.evaluation_result,
    "audit": report_examples.audit_result,
    "study": report_examples.study_result,
}


def _audit_of(sizes: list[int]) -> tuple[Result, list[Row]]:
    """An audit with groups of these sizes; each value is a number that occurs nowhere else."""
    rows = [Row(label="everybody", metric="mse", value=90000.5, n=sum(sizes), unit="users")]
    for i, n in enumerate(sizes):
        secret = 90013.25 + 41 * i
        rows += [
            Row(
                label=f"group {'abcdefgh'[i]}",
                metric="mse",
                estimator=estimator,
                group={"plan": "abcdefgh"[i]},
                value=secret + shift,
                lower=secret - 500,
                upper=secret + 500,
                n=n,
                unit="users",
            )
            for estimator, shift in (("naive", 1), ("dr", 0))
        ]
    shown = suppress_small_cells(rows)
    table = Table(
        name="sizes",
        title="Sizes",
        columns=("plan", "users", "share"),
        rows=(
            ("all", sum(sizes), 1.0),
            *(("abcdefgh"[i], n, n / sum(sizes)) for i, n in enumerate(sizes)),
        ),
        figure="bars",
        x="plan",
        y=("users",),
    )
    hidden_table = suppress_table(table, count="users", keys=["plan"], following=shown)
    result = Result(kind="audit", title="Audit", rows=shown, tables=(hidden_table,))
    return result, [r for r, s in zip(rows, shown, strict=True) if s.status == "suppressed"]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 50), min_size=2, max_size=6))
def test_nothing_suppressed_is_in_any_form_nor_left_over_by_subtraction(sizes: list[int]) -> None:
    result, secrets = _audit_of(sizes)
    for ending, render in RENDERERS.items():
        text = render(result)
        for row in secrets:
            for number in filter(None, (row.value, row.lower, row.upper)):
                assert f"{int(number)}" not in text, ending
                assert f"{int(number):,}" not in text, ending
    shown = json.loads(result.to_json())["rows"]
    everybody = shown[0]["n"]
    for estimator in ("naive", "dr"):
        groups = [row for row in shown if row["estimator"] == estimator]
        hidden = [row for row in groups if row["status"] == "suppressed"]
        if hidden and everybody is not None:
            left = everybody - sum(row["n"] or 0 for row in groups)
            assert len(hidden) > 1
            assert left >= 11
    table = json.loads(result.to_json())["tables"][0]["rows"]
    counts = {key: n for key, n, _ in table}
    hidden_keys = {row["group"]["plan"] for row in shown[1:] if row["status"] == "suppressed"}
    assert {key for key, n in counts.items() if n == "suppressed"} - {"all"} == hidden_keys


def test_a_suppressed_count_is_in_no_form() -> None:
    result, secrets = _audit_of([613, 7, 541, 17])
    assert {row.n for row in secrets} == {7, 17}
    for render in RENDERERS.values():
        # The whole numbers of the text; 7 and 17 would stand alone.
        words = set(re.findall(r"(?<![\w.#-])\d+(?![\w.%])", _visible(render(result))))
        assert not words & {"7", "17"}
        assert "613" in words


def _visible(text: str) -> str:
    if not text.startswith("<!DOCTYPE html>"):
        return text
    text = re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    return re.sub(r"<[^>]*>", " ", text)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_is_valid_small_and_alone(name: str) -> None:
    page = render_html(EXAMPLES[name]())
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    tree = parser.parse(page)
    assert len(page.encode()) < 300 * 1024
    assert not re.search(r"https?:|//[a-z]|url\(|@import", page)
    assert "default-src 'none'" in page
    assert not list(tree.iter("script"))
    identities = [node.attrib["id"] for node in tree.iter() if "id" in node.attrib]
    assert len(identities) == len(set(identities))
    labelled = [
        node.attrib["aria-labelledby"] for node in tree.iter() if "aria-labelledby" in node.attrib
    ]
    assert {word for label in labelled for word in label.split()} <= set(identities)
    anchors = {node.attrib["href"] for node in tree.iter("a")}
    assert {anchor.removeprefix("#") for anchor in anchors} <= set(identities)
    levels = [int(node.tag[1]) for node in tree.iter() if re.fullmatch(r"h[1-6]", str(node.tag))]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_a_result_with_nothing_in_it_has_every_form() -> None:
    bare = Result(kind="mean", title="Bare")
    for ending in (".html", ".json", ".md", ".tex"):
        assert "Bare" in RENDERERS[ending](bare)
    assert render_csv(bare).count("\n") == 1


def test_the_page_opens_with_the_answer_then_the_figure_then_the_evidence() -> None:
    page = render_html(report_examples.effect_result())
    marks = ["By 8.3 points", "<figure", ">Evidence<", ">What it rests on<",
             ">What would overturn it<", ">Diagnostics<", ">How to reproduce it<"]  # fmt: skip
    places = [page.find(mark) for mark in marks[1:]]
    assert 0 < page.find("8.3 points") < places[0]
    assert places == sorted(places)
    assert -1 not in places


def test_a_page_of_thousands_of_rows_is_cut_and_says_so() -> None:
    rows = tuple(Row(label=f"item {i}", value=i / 7, n=50, metric="mse") for i in range(5000))
    page = render_html(Result(kind="audit", title="Long", rows=rows))
    assert len(page.encode()) < 300 * 1024
    assert "further rows are in the JSON" in page
    assert render_csv(Result(kind="audit", title="Long", rows=rows)).count("\n") == 5001


HOSTILE = "<script>alert(1)</script>\"&'{{ 7*7 }}\x00]]>"


def _hostile() -> Result:
    row = Row(label=HOSTILE, value=1.0, lower=0.0, upper=2.0, metric=HOSTILE, estimator=HOSTILE,
              n=20, population=HOSTILE, note=HOSTILE, group={HOSTILE: HOSTILE})  # fmt: skip
    table = Table(name=HOSTILE, title=HOSTILE, columns=(HOSTILE, "y"), rows=((HOSTILE, 1.5),),
                  figure="bars", x=HOSTILE, y=("y",), caption=HOSTILE)  # fmt: skip
    inner = Result(kind=HOSTILE, title=HOSTILE, question=HOSTILE, answer=HOSTILE, rows=(row,),
                   tables=(table,), notes=(HOSTILE,))  # fmt: skip
    return Result(kind="study", title=HOSTILE, sections=(inner, inner))


def test_hostile_names_stay_text() -> None:
    page = render_html(_hostile())
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)
    assert not list(tree.iter("script"))
    assert "<script" not in page
    assert "{{ 7*7 }}" in page
    assert "\x00" not in page
    assert r"\<script\>" in render_markdown(_hostile())
    assert r"\textless{}script\textgreater{}" in render_latex(_hostile())


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_the_spreadsheet_runs_no_formula(start: str) -> None:
    result = Result(kind="audit", title=start, rows=(Row(label=start, value=-1.5, note=start),))
    line = next(csv.DictReader(io.StringIO(render_csv(result), newline="")))
    assert line["label"] == "'" + " ".join(start.splitlines())
    assert line["section"].startswith("'")
    assert line["value"] == "-1.5"


def test_the_long_table_holds_every_number() -> None:
    result = report_examples.study_result()
    lines = list(csv.DictReader(io.StringIO(render_csv(result))))
    effect = report_examples.effect_result()
    values = {float(line["value"]) for line in lines if line["value"]}
    assert {row.value for row in effect.rows} <= values
    assert {line["table"] for line in lines} >= {"", "overlap", "balance", "lorenz"}


def test_templates_never_switch_escaping_off() -> None:
    for path in TEMPLATES.glob("*.j2"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\bsafe\b|autoescape|<script|javascript:", text), path.name
    room = TEMPLATES.parent
    makers = {p.name for p in room.glob("*.py") if "Markup(" in p.read_text(encoding="utf-8")}
    assert makers == {"_svg.py"}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_ending_says_the_form(ending: str, tmp_path: Path) -> None:
    path = write_report(report_examples.effect_result(), tmp_path / f"deep/report{ending}")
    assert path.read_text(encoding="utf-8") == RENDERERS[ending](report_examples.effect_result())
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_an_unknown_ending_is_refused_with_the_near_miss(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"one of \.html, .*Did you mean '\.html'"):
        write_report(report_examples.effect_result(), tmp_path / "report.htm")
    with pytest.raises(StudyError, match="at least one"):
        write_report([], tmp_path / "report.html")


def test_several_results_become_one_page(tmp_path: Path) -> None:
    parts = [report_examples.effect_result(), report_examples.audit_result()]
    page = write_report(parts, tmp_path / "chain.html", title="The chain").read_text("utf-8")
    assert "<h1>The chain</h1>" in page
    assert page.index("Contents") < page.index("The answers at a glance") < page.index("Evidence")
    for part in parts:
        assert part.title in page
    alone = write_report(parts[:1], tmp_path / "one.html", title="Renamed").read_text("utf-8")
    assert "<h1>Renamed</h1>" in alone


def test_an_interrupted_write_leaves_the_previous_report_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_report(report_examples.effect_result(), tmp_path / "report.md")
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(report_examples.audit_result(), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["report.md"]


def test_the_same_result_gives_the_same_bytes_whatever_the_hash_seed() -> None:
    code = (
        "import hashlib, report_examples as e; from causalrec.reporting import render_html;"
        "print(hashlib.sha256(render_html(e.study_result()).encode()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parent)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_diagnostics_give_way_before_the_evidence() -> None:
    rows = tuple(
        Row(label=f"group {i}", value=i / 7, n=50, metric="mse", estimator="dr") for i in range(40)
    )
    table = Table(name="balance", title="Balance", columns=("feature", "words"),
                  rows=tuple((f"f{i}", "x" * 400) for i in range(300)))  # fmt: skip
    one = Result(kind="audit", title="Audit", rows=rows, tables=(table,))
    page = render_html(Result(kind="study", title="Six", sections=(one,) * 6))
    assert len(page.encode()) < 300 * 1024
    assert page.count(">group 39<") >= 6
    assert "further rows are" in page


def test_a_forest_that_is_cut_says_so() -> None:
    rows = tuple(Row(label=f"r{i}", value=float(i), metric="m") for i in range(60))
    page = render_html(Result(kind="audit", title="Long", rows=rows))
    assert "The first 48 of 60 lines are drawn." in page


def test_a_caption_ends_once() -> None:
    table = Table(name="wald", title="Any difference?", columns=("f",), rows=((1.5,),),
                  caption="Wald tests; this is not.")  # fmt: skip
    page = render_html(Result(kind="audit", title="Audit", tables=(table,)))
    assert "Any difference? Wald tests; this is not.<" in page


def test_a_summary_has_decimals_by_line() -> None:
    rows = ((3.311, 3.148, 3.101, 3.195), (0.0069, 0.0034, 0.001811, 0.004989))
    table = Table(name="summary", title="At a glance", columns=("naive", "debiased", "lower",
                  "upper"), rows=rows)  # fmt: skip
    page = render_html(Result(kind="study", title="S", tables=(table,)))
    assert ">3.148<" in page
    assert ">0.00340<" in page
