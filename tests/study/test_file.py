"""The study file: every mistake is answered with its place in the document and the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from causalrec.errors import StudyError
from causalrec.study import read_study
from causalrec.study._file import study_from_dict

GOOD: dict[str, Any] = {
    "study": {"title": "t"},
    "log": {"world": "shop"},
    "graph": "exposure_click",
    "models": {"plain": {"estimator": "naive"}},
    "questions": [{"kind": "effect", "name": "effect"}],
}


def _changed(**changes: Any) -> dict[str, Any]:
    return {**GOOD, **changes}


MISTAKES = {
    "an unknown option": (
        _changed(study={"title": "t", "titel": "x"}),
        r"study\.titel: this option is unknown here",
    ),
    "an unknown kind of question": (
        _changed(questions=[{"kind": "efect", "name": "a"}]),
        r"questions\.0: .*'efect'",
    ),
    "no question": (_changed(questions=[]), r"questions: .*at least 1"),
    "two sources": (
        _changed(log={"world": "shop", "events": "e.csv"}),
        "log: name exactly one source",
    ),
    "no source": (_changed(log={}), "log: name exactly one source"),
    "twice the same name": (
        _changed(questions=[GOOD["questions"][0]] * 2),
        "two questions are called 'effect'",
    ),
    "an unknown model": (
        _changed(questions=[{"kind": "audit", "name": "audit", "model": "plian"}]),
        r"no \[models\.plian\] section\. Did you mean 'plain'\?",
    ),
    "a share out of range": (
        _changed(split={"test_size": 1.5}),
        r"split\.test_size: .*less than 1",
    ),
    "a bad name": (
        _changed(questions=[{"kind": "effect", "name": "my effect"}]),
        r"questions\.0\.effect\.name: .*pattern",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_answered_with_their_place(name: str) -> None:
    document, pattern = MISTAKES[name]
    with pytest.raises(StudyError, match=pattern):
        study_from_dict(document)


def test_a_file_that_is_not_there_names_the_near_miss(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text("")
    with pytest.raises(StudyError, match=r"Did you mean 'study\.toml'\?"):
        read_study(tmp_path / "studdy.toml")


def test_text_that_is_not_toml_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text("[study\ntitle = 1")
    with pytest.raises(StudyError, match="line 1"):
        read_study(path)


def test_defaults_are_filled_in() -> None:
    study = study_from_dict(GOOD)
    assert study.study.min_cell == 11
    assert study.propensity.method == "auto"
    assert study.questions[0].model_dump()["sampled"] == ("user", "item")
