"""A study plans a slice, and asks by how much propensities may be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from causalrec.errors import StudyError
from causalrec.study import check_study, run_study

STUDY = """
schema_version = 1
graph = "rating_selection"

[study]
title = "Music"
output = "out"

[log]
world = "music"
world_options = { n_users = 200, n_items = 60, density = 0.2 }

[models.one]
estimator = "naive"
n_factors = 2

[models.other]
estimator = "ips"
n_factors = 2

[[questions]]
kind = "randomization_plan"
name = "mean"
precision = 0.2
sampled = ["user"]

[[questions]]
kind = "randomization_plan"
name = "pair"
question = "difference"
models = ["one", "other"]
precision = 0.1

[[questions]]
kind = "evaluation"
name = "evaluation"
models = ["one", "other"]
metrics = ["mse"]
sensitivity = true
"""


def test_a_study_plans_a_slice_and_bounds_an_order(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    check_study(path)
    mean, pair, evaluation = run_study(path).sections
    assert mean.kind == pair.kind == "randomization_plan"
    assert "the mean rating to within 0.2" in mean.answer
    assert "the mse of one minus that of other" in pair.answer
    assert evaluation.sections[-1].kind == "sensitivity"
    assert "Plan of a randomised slice" in (tmp_path / "out" / "report.html").read_text()
    path.write_text(STUDY.replace('["one", "other"]\nprecision', '["one", "othr"]\nprecision'))
    with pytest.raises(StudyError, match="Did you mean 'other'"):
        check_study(path)
