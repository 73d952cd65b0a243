"""Evidence annexes and model cards: in order, with the results' own numbers, and no opinion."""

from __future__ import annotations

import pytest

import causalrec as cr
from causalrec.audits import impact_ratio_table
from causalrec.errors import StudyError
from causalrec.reporting import (
    AuditScope,
    ModelDetails,
    evidence_annex,
    model_card,
    render_csv,
    render_html,
    render_markdown,
    write_report,
)
from causalrec.results import Assumption, Result, Row, suppress_small_cells

PARTS = ["Methodology", "Data", "Tests", "Results", "Limits"]


@pytest.fixture(scope="module")
def results() -> list[Result]:
    world = cr.simulate("music", n_users=200, n_items=60, density=0.3, random_state=2)
    audit = cr.audit(
        world.log, user_groups=["country", "age_group"], propensity=world.potential.propensity,
        estimators=["naive", "snips"], min_cell=20,
    )  # fmt: skip
    shop = cr.simulate("shop", n_users=200, n_items=40, random_state=0)
    return [audit, impact_ratio_table(shop.log, groups="gender")]


@pytest.fixture(scope="module")
def annex(results: list[Result]) -> Result:
    return evidence_annex(
        results, {"system": "songs", "auditor": "an office", "not_audited": "the ads: no log."}
    )


def every_row(result: Result) -> list[Row]:
    return [*result.rows, *(row for one in result.sections for row in every_row(one))]


def test_the_parts_stand_in_the_order_that_is_asked_for(annex: Result) -> None:
    assert [one.title for one in annex.sections] == PARTS
    page = render_html(annex)
    places = [page.index(f">{title}</h2>") for title in PARTS]
    assert places == sorted(places)
    markdown = render_markdown(annex)
    places = [markdown.index(f"## {title}\n") for title in PARTS]
    assert places == sorted(places)
    assert len(page.encode()) < 300 * 1024
    assert "https://" not in page


def test_every_number_is_one_of_a_result_with_its_interval(
    annex: Result, results: list[Result]
) -> None:
    own = {(row.label, row.value, row.lower, row.upper) for one in results for row in one.rows}
    found = {(row.label, row.value, row.lower, row.upper) for row in every_row(annex)}
    assert found == own


def test_the_ledger_is_parted_into_tests_and_limits(annex: Result, results: list[Result]) -> None:
    tests, limits = annex.sections[2], annex.sections[4]
    assert {one.status for one in tests.assumptions} <= {"tested", "violated"}
    assert {one.status for one in limits.assumptions} <= {"untestable", "by design"}
    said = {(one.name, one.statement) for one in (*tests.assumptions, *limits.assumptions)}
    assert said == {(a.name, a.statement) for one in results for a in one.assumptions}
    assert all(one.questions for one in limits.assumptions)
    assert all(not one.assumptions for one in annex.sections[3].sections)


def test_what_was_tested_and_what_is_missing_are_listed(annex: Result) -> None:
    audit = annex.sections[3].sections[0]
    tested = {row.label for row in audit.rows if row.p_adjusted is not None}
    listed = {row[1] for table in annex.sections[2].tables for row in table.rows}
    assert tested <= listed
    limits = annex.sections[4]
    assert "the ads: no log." in limits.answer
    assert "Not stated of the scope: version" in limits.notes[0]
    data = annex.sections[1].tables[0]
    assert any("sha256" in str(cell) for row in data.rows for cell in row)


def test_what_is_suppressed_stays_so(annex: Result) -> None:
    rows = suppress_small_cells(
        [
            Row(label=f"mean: plan={name}", value=value, n=n, group={"plan": name}, unit="users")
            for name, value, n in [("free", 0.125, 900), ("family", 0.25, 60), ("vip", 0.8765, 4)]
        ]
    )
    made = evidence_annex(Result(kind="audit", title="Audit", rows=rows))
    for text in (render_html(made), render_markdown(made), render_csv(made), made.to_json()):
        assert "0.8765" not in text
        assert "suppressed" in text
    groups = made.sections[1].tables[0]
    assert ("plan", "vip", "suppressed", "users") in groups.rows
    missing = made.sections[4].tables[0]
    assert {row[2] for row in missing.rows} == {"suppressed"}


def test_it_states_no_opinion(annex: Result) -> None:
    assert annex.answer.endswith("It states none, on compliance or anything else.")
    text = render_markdown(annex).lower()
    for word in ("compliant", "complies", "unlawful", "illegal", "violates the law", "passes"):
        assert word not in text


def test_an_annex_reads_back_and_is_written_in_every_form(annex: Result, tmp_path: object) -> None:
    again = Result.from_json(annex.to_json())
    assert render_html(again) == render_html(annex)
    for ending in ("html", "md", "json", "csv", "tex"):
        assert write_report(annex, f"{tmp_path}/annex.{ending}").stat().st_size > 1000


def test_the_scope_is_read_strictly() -> None:
    assert AuditScope.of(AuditScope(system="a")).system == "a"
    assert len(AuditScope().missing) == 15
    with pytest.raises(StudyError, match="Did you mean 'auditor'"):
        AuditScope.of({"auditer": "x"})
    with pytest.raises(StudyError, match="made of results"):
        evidence_annex([])
    with pytest.raises(StudyError, match="made of results"):
        model_card(["audit"])  # type: ignore[list-item]


# ---------------------------------------------------------------------- model cards


def test_a_card_has_the_sections_of_the_paper(results: list[Result]) -> None:
    card = model_card(results, ModelDetails(name="songs", intended_use="lists of songs"))
    titles = [one.title for one in card.sections]
    assert titles[:5] == [
        "Model details",
        "Intended use",
        "Factors",
        "Metrics",
        "Evaluation and training data",
    ]
    assert titles[-1] == "Caveats and ethical considerations"
    assert "Quantitative analyses: unitary" in titles
    page = render_html(card)
    assert "Model card: songs" in page
    assert "not stated" in page
    own = {(row.label, row.value) for one in results for row in one.rows}
    assert {(row.label, row.value) for row in every_row(card)} == own


def test_crossings_and_gaps_between_them_are_intersectional() -> None:
    cross = {"sex": "F", "race": "A"}
    rows = (
        Row(label="everybody", value=0.5, n=100),
        Row(label="F", value=0.4, n=50, group={"sex": "F"}),
        Row(label="F, A", value=0.3, n=20, group=cross),
        Row(label="F, A - F", value=-0.1, derived_from=("F, A", "F")),
    )
    stated = Assumption(name="overlap", statement="all had a chance", status="untestable")
    card = model_card(Result(kind="audit", title="A", rows=rows, assumptions=(stated,)))
    parts = {one.title: [row.label for row in one.rows] for one in card.sections}
    assert parts["Quantitative analyses: overall"] == ["everybody"]
    assert parts["Quantitative analyses: unitary"] == ["F"]
    assert parts["Quantitative analyses: intersectional"] == ["F, A", "F, A - F"]
    assert [one.name for one in card.sections[-1].assumptions] == ["overlap"]
