"""A study's audit chooses its families of measures, and what is relevant."""

from __future__ import annotations

from pathlib import Path

import pytest

from causalrec.errors import StudyError
from causalrec.study import read_study, run_study

STUDY = """
schema_version = 1
graph = "rating_selection"

[study]
title = "Labels of a small music service"
output = "out"
formats = ["json"]
min_cell = 5

[log]
world = "music"
world_options = { n_users = 120, n_items = 60, density = 0.3 }

[models.naive]
estimator = "naive"
n_factors = 2

[[questions]]
kind = "audit"
name = "labels"
model = "naive"
item_groups = ["label_group"]
measures = ["exposure", "merit"]
relevance_threshold = 4.0
k = 5
"""


def test_an_audit_of_a_study_chooses_its_measures(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    assert read_study(path).questions[0].measures == ("exposure", "merit")
    (tmp_path / "out").mkdir()
    text = run_study(path).to_json()
    assert "exposure for merit (DTR@5) ratio" in text
    assert "gini of exposure" not in text
    assert "gain 1 where the outcome is at least 4" in text


def test_a_family_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(STUDY.replace('"merit"]', '"merits"]'))
    (tmp_path / "out").mkdir()
    with pytest.raises(StudyError, match="Did you mean 'merit'"):
        run_study(path)
