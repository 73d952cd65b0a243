"""The drawings: what is put where, and that nothing can break them."""

from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ET

import pytest
import report_examples
from hypothesis import given, settings
from hypothesis import strategies as st

from causalrec.errors import GraphError
from causalrec.reporting import draw_graph, summary_table
from causalrec.reporting._axes import Scale
from causalrec.reporting._charts import draw_chart
from causalrec.reporting._forest import MAX_LINES, draw_forest, panels
from causalrec.reporting._graph_layout import lay_out
from causalrec.reporting._marks import subject_of
from causalrec.reporting._numbers import number, row_decimals
from causalrec.reporting._svg import figures_width
from causalrec.results import Result, Row, Table

KINDS = ("forest", "bars", "histogram", "dots", "lines", "lorenz", "waterfall")
NUMBERS = st.one_of(st.none(), st.floats(-1e9, 1e9), st.integers(-5, 5), st.just("suppressed"))


def _forest(rows: list[Row], narrow: bool = False) -> ET.Element:
    drawn = draw_forest(rows, title="t", identity="f", narrow=narrow)
    assert drawn is not None
    return ET.fromstring(drawn)


def _texts(tree: ET.Element) -> list[str]:
    return [
        (node.text or "") + "".join(line.text or "" for line in node.iter("tspan"))
        for node in tree.iter("text")
    ]


def test_naive_debiased_and_true_share_a_line() -> None:
    rows = list(report_examples.effect_result().rows)
    found = {panel.name: [line.subject for line in panel.lines] for panel in panels(rows)}
    assert found == {
        "effect": ["everybody"],
        "effect: contrasts": ["everybody"],
        "effect by gender": ["gender = f", "gender = m"],
    }
    by_gender = panels(rows)[-1].lines[0]
    assert [row.estimator for row in by_gender.rows] == ["naive", "dr", "truth"]


@pytest.mark.parametrize(
    ("label", "estimator", "metric", "derived", "subject"),
    [
        ("dr", "dr", "effect", (), ""),
        ("mean (naive)", "naive", "mean", (), ""),
        ("truth", "", "mean", (), ""),
        ("truth: MRDR", "truth", "mse", (), "MRDR"),
        ("naive: mse", "snips", "mse", (), "naive"),
        ("naive: mse (naive)", "naive", "mse", (), "naive"),
        ("naive - dr", "dr", "mean", ("naive", "dr"), "naive - dr"),
        ("naive - dr", "naive - dr", "effect", ("naive", "dr"), ""),
        ("gap: f - m", "dr", "gap", ("f", "m"), "gap: f - m"),
    ],
)
def test_labels_say_whom_a_row_speaks_of(
    label: str, estimator: str, metric: str, derived: tuple[str, ...], subject: str
) -> None:
    row = Row(label=label, estimator=estimator, metric=metric, derived_from=derived)
    assert subject_of(row) == subject


def test_estimators_differ_by_shape_and_not_only_by_colour() -> None:
    rows = [
        Row(label=name, estimator=name, value=0.1 * i, metric="m")
        for i, name in enumerate(["naive", "ips", "snips", "dr", "regression", "plain"])
    ]
    tree = _forest(rows)
    classes = [node.attrib["class"].split()[1] for node in tree.iter()
               if node.attrib.get("class", "").startswith("mark ")]  # fmt: skip
    assert classes == ["ring", "triangle", "square", "diamond", "wedge", "disc"]


@pytest.mark.parametrize("narrow", [True, False])
def test_an_interval_stands_where_its_numbers_say(narrow: bool) -> None:
    rows = [
        Row(label="a", value=0.5, lower=0.25, upper=1.0, metric="m", estimator="dr"),
        Row(label="b", value=0.75, lower=0.5, upper=1.25, metric="m", estimator="dr"),
    ]
    tree = _forest(rows, narrow)
    lines = [node for node in tree.iter("line") if "whisker" in node.attrib["class"]]
    (a1, a2), (b1, b2) = [(float(n.attrib["x1"]), float(n.attrib["x2"])) for n in lines]
    unit = (b1 - a1) / 0.25
    assert a2 - a1 == pytest.approx(0.75 * unit, abs=0.05)
    assert b2 - b1 == pytest.approx(0.75 * unit, abs=0.05)


def test_one_enormous_interval_is_cut_with_an_arrow() -> None:
    rows = [
        Row(label=f"r{i}", value=i / 10, lower=i / 10 - 0.1, upper=i / 10 + 0.1) for i in range(5)
    ]
    rows.append(Row(label="wild", value=0.2, lower=-1e6, upper=1e6))
    tree = _forest(rows)
    arrows = [n for n in tree.iter("path") if "l6 4" in n.attrib["d"] or "l-6 4" in n.attrib["d"]]
    assert len(arrows) == 2
    assert all(0 <= float(n.attrib["x1"]) <= 760 for n in tree.iter("line"))


def test_statuses_are_said_in_words() -> None:
    rows = [
        Row(label="seen", value=1.0, lower=0.5, upper=1.5),
        Row(label="few", value=1.1, status="not_estimable"),
        Row(label="small", status="suppressed"),
        Row(label="only bounds", lower=0.2, upper=1.2),
    ]
    texts = _texts(_forest(rows))
    assert {"no interval", "hidden (small group)", "small"} <= set(texts)
    assert draw_forest(rows[2:3], title="t", identity="f", narrow=False) is None
    assert draw_forest([], title="t", identity="f", narrow=False) is None


def test_bounds_alone_are_drawn() -> None:
    rows = [Row(label="mean", metric="rating", lower=1.5, upper=3.5, estimator="range")]
    lines = [n for n in _forest(rows).iter("line") if "whisker" in n.attrib["class"]]
    assert len(lines) == 1


def test_a_forest_of_hundreds_stays_a_figure() -> None:
    rows = [Row(label=f"r{i}", value=float(i), metric="m") for i in range(500)]
    assert len([t for t in _texts(_forest(rows)) if t.startswith("r")]) == MAX_LINES


@settings(deadline=None, max_examples=80)
@given(
    kind=st.sampled_from(KINDS),
    rows=st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), max_size=30),
    y=st.sampled_from([("b",), ("b", "c"), ("missing",), ()]),
)
def test_no_table_breaks_a_chart(kind: str, rows: list, y: tuple[str, ...]) -> None:
    table = Table.model_validate(
        {"name": "balance", "title": "t", "columns": ("a", "b", "c"), "rows": rows, "figure": kind,
         "x": "a", "y": y}
    )  # fmt: skip
    drawn = draw_chart(table, identity="f")
    if drawn is not None:
        assert "nan" not in drawn
        assert "inf" not in drawn
        ET.fromstring(drawn)


@given(st.floats(-1e12, 1e12), st.floats(0, 1e12))
def test_ticks_are_round_few_and_inside(low: float, width: float) -> None:
    scale = Scale.over([low, low + width], 0, 100)
    ticks = scale.ticks(5)
    assert len(ticks) <= 9
    assert all(scale.low - 1e-6 * abs(scale.low) <= value <= scale.high + 1e-6 * abs(scale.high)
               for value, _ in ticks)  # fmt: skip


def test_numbers_have_as_many_decimals_as_their_intervals_carry() -> None:
    rows = [Row(label="a", value=0.123456, lower=0.1, upper=0.15)]
    assert number(rows[0].value, row_decimals(rows)) == "0.123"
    assert number(-0.00001, 3) == "0.000"
    assert number(math.nan, 3) == ""


def test_causes_stand_left_of_effects_and_nodes_apart() -> None:
    nodes = [f"n{i}" for i in range(15)]
    edges = [(f"n{i}", f"n{j}") for i in range(15) for j in range(i + 1, 15) if (i * j) % 4 == 1]
    layout = lay_out(nodes, edges)
    column = layout.column_of
    assert all(column[cause] < column[effect] for cause, effect in edges)
    assert set(nodes) <= set(layout.rows)
    for names in layout.columns:
        places = [layout.rows[name] for name in names]
        assert all(b - a > 0.39 for a, b in itertools.pairwise(places))
        known = [layout.rows[name] for name in names if name in nodes]
        assert all(b - a > 0.99 for a, b in itertools.pairwise(known))
    assert layout == lay_out(nodes[::-1], edges[::-1])


def test_the_graph_marks_roles_by_shape_and_the_adjustment_set() -> None:
    drawn = draw_graph(report_examples.WIDE_DOT, ["age", "price"], identity="g")
    assert drawn is not None
    tree = ET.fromstring(drawn)
    shapes = {node.attrib["class"].split()[-1]: node.tag for node in tree.iter()
              if node.attrib.get("class", "").startswith("node n-")}  # fmt: skip
    assert shapes["n-latent"] == shapes["n-mediator"] == "ellipse"
    assert shapes["n-instrument"] == shapes["n-observed"] == "polygon"
    # Two nodes and the legend.
    assert len([n for n in tree.iter("circle") if n.attrib["class"] == "badge"]) == 3
    assert "adjusted for" in _texts(tree)
    assert "exposure causes click" in tree.findtext("desc", "")
    assert draw_graph("  ", [], identity="g") is None
    with pytest.raises(GraphError):
        draw_graph("digraph {", [], identity="g")


def test_the_summary_sets_naive_beside_debiased_beside_true() -> None:
    table = summary_table(report_examples.study_result().sections)
    naive, debiased, truth = (table.columns.index(c) for c in ("naive", "debiased", "truth"))
    found = [(row[naive], row[debiased], row[truth]) for row in table.rows]
    # The truth about MRDR is not the truth about the plain factorisation.
    assert found == [(0.1712, 0.0831, 0.0795), (1.245, 1.512, None), (0.041, 0.007, None)]
    assert summary_table([Result(kind="audit", title="nothing")]).rows == ()


def _ratio(**numbers: float) -> Row:
    return Row(label="exposure ratio, label: indie / major", metric="exposure ratio",
               estimator="lists", derived_from=("a", "b"), **numbers)  # fmt: skip


@pytest.mark.parametrize("narrow", [True, False])
def test_a_ratio_is_drawn_on_a_log_axis_with_its_line_at_one(narrow: bool) -> None:
    tree = _forest([_ratio(value=0.5, lower=0.25, upper=1.0), _ratio(value=2, lower=1, upper=4)],
                   narrow)  # fmt: skip
    whiskers = [n for n in tree.iter("line") if "whisker" in n.attrib["class"]]
    (a1, a2), (b1, b2) = [(float(n.attrib["x1"]), float(n.attrib["x2"])) for n in whiskers]
    assert a2 - a1 == pytest.approx(b2 - b1, abs=0.1)  # a quarter to one, as one to four
    zeros = [float(n.attrib["x1"]) for n in tree.iter("line") if n.attrib["class"] == "zero"]
    assert zeros == [pytest.approx(a2, abs=0.1)]
    assert zeros == [pytest.approx(b1, abs=0.1)]
    assert "1" in _texts(tree)


def test_a_ratio_that_reaches_zero_stays_on_a_linear_axis() -> None:
    tree = _forest([_ratio(value=0.1, lower=0.0, upper=0.4)])
    assert "0.0" in _texts(tree)


def test_a_contrast_does_not_repeat_the_heading_of_its_panel() -> None:
    assert subject_of(_ratio()) == "label: indie / major"


@given(low=st.floats(1e-6, 1e6), factor=st.floats(1.01, 1e9))
def test_ticks_of_a_log_axis_are_few_and_inside(low: float, factor: float) -> None:
    scale = Scale.over([low, low * factor], 0, 300, log=True)
    ticks = scale.ticks(5)
    assert len(ticks) <= 9
    assert all(scale.low <= value <= scale.high for value, _ in ticks)
    assert scale(low) < scale(low * factor) <= 300


def test_a_value_never_runs_into_its_interval() -> None:
    row = Row(label="gap", value=-12345.678, lower=-23456.789, upper=-1234.567, metric="m")
    small = Row(label="s", value=-0.003711, lower=-0.005592, upper=-0.00183, metric="n")
    tree = _forest([row, small])
    values = [n for n in tree.iter("text") if n.attrib["class"].startswith("value strong")]
    between = [n for n in tree.iter("text") if n.attrib["class"].startswith("value quiet")]
    for left, right in zip(values, between, strict=True):
        start = float(right.attrib["x"]) - figures_width(right.text or "", 12.5)
        assert float(left.attrib["x"]) < start


def test_a_tuning_is_summed_up_by_its_least_loss() -> None:
    rows = tuple(
        Row(label=f"n_factors={k}", metric="mse", estimator="snips", value=loss)
        for k, loss in ((0, 0.87), (2, 0.76), (8, 0.77))
    )
    line = summary_table([Result(kind="tuning", title="t", rows=rows)]).rows[0]
    assert line[3] == 0.76


def test_the_quantity_names_its_metric_once() -> None:
    row = Row(label="mse gap, country: B - A", metric="mse", estimator="dr", value=0.1,
              derived_from=("a", "b"))  # fmt: skip
    line = summary_table([Result(kind="audit", title="t", rows=(row,))]).rows[0]
    assert line[1] == "mse gap, country: B - A"
