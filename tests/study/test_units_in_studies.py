"""A study asks for the effect on a total, and its report says whose."""

from __future__ import annotations

from pathlib import Path

from causalrec.study import read_study, run_study

STUDY = """
schema_version = 1
graph = "exposure_click"

[study]
title = "Totals in a small shop"
output = "out"
formats = ["json"]

[log]
world = "shop"
world_options = { n_users = 200, n_items = 40, n_candidates = 8, interference = 1.0 }

[[questions]]
kind = "effect"
name = "total"
unit = "user"
"""


def test_a_study_asks_for_the_effect_on_a_total(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    assert read_study(path).questions[0].unit == "user"
    (tmp_path / "out").mkdir()
    found = run_study(path)
    text = found.to_json()
    assert "Exposing one more item" in text
    assert "no interference between users" in text
