"""Several results on one page: one answer, one ledger, one way to reproduce it; or a study."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import report_examples

import causalrec as cr
from causalrec.errors import CausalRecError, StudyError
from causalrec.reporting import write_report
from causalrec.reporting._compose import compose
from causalrec.results import Assumption, Provenance, Result, Row

LEAD = report_examples.effect_result()
WHAT = "what unmeasured confounder would overturn it"
SENSITIVITY = WHAT.capitalize()


def _about(kind: str, rest: str, **more: Any) -> Result:
    extra = more.pop("config", {})
    made = LEAD.provenance.model_copy(update={"config": {**LEAD.provenance.config, **extra}})
    return Result(kind=kind, title=f"{LEAD.title}{rest}", provenance=made,
                  graph_dot=LEAD.graph_dot, adjustment=LEAD.adjustment, **more)  # fmt: skip


def _asked() -> list[Result]:
    """Return what was asked about the lead, in no good order."""
    doubt = Assumption(
        name="no unmeasured confounding", statement="Another wording.", status="untestable"
    )
    checked = Assumption(
        name="consistency", statement="One window.", status="tested", evidence="One window it is."
    )
    return [
        _about("sensitivity", f": {WHAT}", assumptions=(doubt,),
               config={"lam": [1.5]}, rows=(Row(label="robustness value", value=0.1),)),
        _about("effect", ", by gender", assumptions=(*LEAD.assumptions, checked),
               rows=(Row(label="gender=f", group={"gender": "f"}, value=0.1),)),
        _about("refutation", ": attempts to refute it", config={"refute_n_draws": 20}),
        _about("estimators", ": by other estimators", answer="They agree.",
               rows=(Row(label="dr", estimator="dr", metric="effect", value=0.0831),
                     Row(label="regression", estimator="regression", metric="effect", value=0.09))),
    ]  # fmt: skip


def test_an_effect_and_what_was_asked_about_it_are_one_answer() -> None:
    whole = compose([LEAD, *_asked()])
    assert (whole.kind, whole.title, whole.answer) == ("effect", LEAD.title, LEAD.answer)
    assert [one.title for one in whole.sections] == [
        "By gender",
        "Attempts to refute it",
        SENSITIVITY,
    ]
    labels = [row.label for row in whole.rows]
    assert labels.count("dr") == 1  # the estimate itself stands once
    assert labels[-1] == "regression"
    assert "They agree." in whole.notes
    settings = whole.provenance.config
    assert settings[SENSITIVITY] == {"lam": [1.5]}
    assert settings["Attempts to refute it"] == {"refute_n_draws": 20}
    assert all(one.provenance == Provenance() for one in whole.sections)
    assert Result.from_json(whole.to_json()) == whole


def test_one_ledger_says_which_question_rests_on_what() -> None:
    found = {one.name: one for one in compose([LEAD, *_asked()]).assumptions}
    doubt = found["no unmeasured confounding"]
    assert doubt.questions == (
        "The effect",
        "By gender",
        SENSITIVITY,
    )
    assert doubt.statement != "Another wording."  # the lead's own
    assert found["consistency"].questions == ("By gender",)
    names = [one.name for one in compose([LEAD, *_asked()]).assumptions]
    assert len(names) == len(set(names))


def test_the_page_has_each_part_once_and_in_order(tmp_path: Path) -> None:
    page = write_report([LEAD, *_asked()], tmp_path / "one.html").read_text(encoding="utf-8")
    places = [page.index(f">{text}</h2>") for text in (
        "Evidence", "By gender", "Diagnostics", "Attempts to refute it", SENSITIVITY,
        "What it rests on", "How to reproduce it",
    )]  # fmt: skip
    assert places == sorted(places)
    titles = re.findall(r"<h[1-6][^>]*>(.*?)</h[1-6]>", page)
    assert len(titles) == len(set(titles)), titles
    identities = re.findall(r' id="([^"]+)"', page)
    assert len(identities) == len(set(identities))
    links = re.findall(r'href="#([^"]+)"', page)
    assert set(links) <= set(identities)
    assert len(links) == 6
    figures = [int(n) for n in re.findall(r'class="number">Figure (\d+)', page)]
    assert figures == list(range(1, len(figures) + 1))
    tables = [int(n) for n in re.findall(r'class="number">Table (\d+)', page)]
    assert tables == list(range(1, len(tables) + 1))
    assert page.count("the configuration</summary>") == 1


@pytest.mark.parametrize("ending", ["md", "csv", "tex", "json"])
def test_the_other_forms_are_composed_too(ending: str, tmp_path: Path) -> None:
    text = write_report([LEAD, *_asked()], tmp_path / f"one.{ending}").read_text(encoding="utf-8")
    assert "By gender" in text
    if ending == "md":
        assert text.count("## What it rests on") == 1
        assert "Rests on it: The effect; By gender" in text
        assert text.count("How to reproduce it") == 1


def test_other_data_or_another_question_make_a_study() -> None:
    elsewhere = _asked()[0].model_copy(update={"provenance": Provenance(data={"log": "other"})})
    for other in (elsewhere, report_examples.audit_result()):
        whole = compose([LEAD, other])
        assert whole.kind == "study"
        assert {one.name for one in LEAD.assumptions} <= {one.name for one in whole.assumptions}
        assert all(one.questions for one in whole.assumptions)


def test_sections_of_one_title_are_told_apart() -> None:
    plain = LEAD.model_copy(
        update={"provenance": Provenance(config={"estimator": "dr", "n_folds": 5})}
    )
    other = plain.model_copy(
        update={"provenance": Provenance(config={"estimator": "ips", "n_folds": 5})}
    )
    titles = [one.title for one in compose([plain, other]).sections]
    assert titles == [f"{LEAD.title} (estimator dr)", f"{LEAD.title} (estimator ips)"]
    titles = [one.title for one in compose([plain, plain]).sections]
    assert titles == [f"{LEAD.title} (1)", f"{LEAD.title} (2)"]


def test_a_study_has_one_way_to_reproduce_it(tmp_path: Path) -> None:
    results = [LEAD, report_examples.audit_result()]
    page = write_report(results, tmp_path / "study.html").read_text(encoding="utf-8")
    assert page.count("How to reproduce it</h2>") == 1
    assert "How to reproduce it</h3>" not in page
    assert page.count("9f2c41d7a0b3") == 1


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (7, "this is an int"),
        ("effect", "this is a str"),
        ([LEAD, "sensitivity"], r"item 1 of 2 is a str"),
        ([], "no result to write"),
    ],
)
def test_what_is_no_result_is_refused_in_words(what: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=message):
        write_report(what, tmp_path / "no.html")
    assert not (tmp_path / "no.html").exists()


def test_a_log_is_no_result(tmp_path: Path) -> None:
    log: Any = cr.simulate("shop", n_users=60, n_items=30, random_state=0).log
    with pytest.raises(CausalRecError, match=r"this is an InteractionLog, not a Result.*estimate"):
        write_report(log, tmp_path / "no.html")
