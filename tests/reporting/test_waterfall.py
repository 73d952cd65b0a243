"""The waterfall: every bar begins where the one before ends, and the last is the sum."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from causalrec.reporting._charts import draw_chart
from causalrec.reporting._compose import compose
from causalrec.reporting._summary import headline
from causalrec.results import Result, Row, Table

PARTS = (
    ("baseline", 0.22, 0.15, 0.29),
    ("prevalence", -0.08, -0.1, -0.06),
    ("effect", 0.06, None, None),
    ("gap", 0.2, 0.1, 0.3),
)


def _table(rows: tuple[tuple[object, ...], ...] = PARTS) -> Table:
    return Table(
        name="parts", title="The parts", columns=("part", "value", "lower", "upper"), rows=rows,
        figure="waterfall", x="part", y=("value", "lower", "upper"),
    )  # fmt: skip


def _drawn(table: Table) -> ET.Element:
    found = draw_chart(table, identity="figure-1")
    assert found is not None
    return ET.fromstring(str(found))


def _bars(tree: ET.Element) -> list[tuple[float, float]]:
    return [(float(one.get("x")), float(one.get("x")) + float(one.get("width")))
            for one in tree.iter("rect")]  # fmt: skip


def test_each_bar_begins_where_the_one_before_ends_and_the_last_is_the_sum() -> None:
    baseline, prevalence, effect, gap = _bars(_drawn(_table()))
    assert prevalence[1] == pytest.approx(baseline[1], abs=0.02)  # down, from its end
    assert effect[0] == pytest.approx(prevalence[0], abs=0.02)  # up again
    assert gap[0] == pytest.approx(baseline[0], abs=0.02)  # from zero
    assert gap[1] == pytest.approx(effect[1], abs=0.02)  # to where the parts end


def test_it_is_told_to_those_who_do_not_see_it_and_differs_by_more_than_colour() -> None:
    tree = _drawn(_table())
    title, description = tree.find("title"), tree.find("desc")
    assert title is not None and title.text == "The parts"  # noqa: PT018
    assert description is not None
    assert "3 parts one after the other, and their sum, gap 0.20" in str(description.text)
    assert tree.get("role") == "img"
    kinds = [str(one.get("class")).split()[0] for one in tree.iter("rect")]
    assert kinds == ["bar", "area", "bar", "bar"]  # what lowers the sum is hollow
    whiskers = [one for one in tree.iter("line") if "whisker" in str(one.get("class"))]
    assert len(whiskers) == 3


def test_a_hidden_part_has_no_bar_and_nothing_gives_no_figure() -> None:
    hidden = (("baseline", "suppressed", None, None), *PARTS[1:])
    tree = _drawn(_table(hidden))
    assert len(_bars(tree)) == 3
    assert "hidden" in {one.text for one in tree.iter("text")}
    assert draw_chart(_table(()), identity="f") is None
    empty = tuple((name, None, None, None) for name, *_ in PARTS)
    assert draw_chart(_table(empty), identity="f") is None


def test_a_decomposition_leads_a_page_and_is_summed_up_by_its_gap() -> None:
    rows = (
        Row(label="gap", metric="gap in click", value=0.2, estimator="dr", derived_from=("a", "b")),
        Row(label="gap (naive)", metric="gap in click", value=0.3, estimator="naive",
            derived_from=("a", "b")),
        Row(label="a", metric="mean click", value=0.5, estimator="plain"),
    )  # fmt: skip
    lead = Result(kind="decomposition", title="Parts", rows=rows)
    line = headline(lead)
    assert line is not None
    assert (line.debiased.label, line.naive and line.naive.value) == ("gap", 0.3)
    doubts = Result(kind="refutation", title="Parts: attempts to refute them", rows=rows[:1])
    page = compose([lead, doubts])
    assert page.kind == "decomposition"
    assert [one.title for one in page.sections] == ["Attempts to refute them"]
