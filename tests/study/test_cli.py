"""The command line: output on stdout, progress on stderr, and an exit code for each outcome."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from causalrec.graph import CausalGraph, load_graph

SMALL = """
schema_version = 1
graph = "exposure_click"

[study]
title = "A small shop"
output = "out"

[log]
world = "shop"
world_options = { n_users = 150, n_items = 40, n_candidates = 20 }

[[questions]]
kind = "effect"
name = "effect"
"""


def causalrec(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "causalrec.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(SMALL)
    return path


def test_run_prints_the_answer_and_json_is_one_line(study: Path, tmp_path: Path) -> None:
    run = causalrec("run", study, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "A small shop" in run.stdout
    assert "reading the log" in run.stderr
    again = causalrec("run", study, "--json", "--quiet", cwd=tmp_path)
    assert again.stderr == ""
    assert again.stdout.count("\n") == 1
    assert json.loads(again.stdout)["sections"][0]["kind"] == "effect"


def test_report_draws_a_saved_result(study: Path, tmp_path: Path) -> None:
    assert causalrec("run", study, cwd=tmp_path).returncode == 0
    run = causalrec("report", tmp_path / "out" / "report.json", "-o", "again.md", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "again.md").read_text().startswith("# A small shop")


def test_exit_1_where_a_threshold_is_breached(study: Path, tmp_path: Path) -> None:
    run = causalrec("run", study, "--json", "-q", cwd=tmp_path)
    label = json.loads(run.stdout)["sections"][0]["rows"][0]["label"]
    breached = causalrec("run", study, "--fail-on", f"effect/{label}.upper > -9", cwd=tmp_path)
    assert breached.returncode == 1
    assert "breached" in breached.stderr
    fine = causalrec("run", study, "--fail-on", f"effect/{label}.upper < -9", cwd=tmp_path)
    assert fine.returncode == 0


def test_exit_2_for_usage(study: Path, tmp_path: Path) -> None:
    assert causalrec("run", tmp_path / "none.toml", cwd=tmp_path).returncode == 2
    assert causalrec("run", cwd=tmp_path).returncode == 2
    run = causalrec("run", study, "--fail-on", "nonsense", cwd=tmp_path)
    assert run.returncode == 2
    assert "QUESTION/LABEL" in run.stderr


def test_exit_3_for_bad_data(study: Path, tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user_id,item_id,purchase\n1,2,\n")
    log = '[log]\nevents = "events.csv"\n[log.columns]\noutcome = "purchase"\nexposure = "shown"\n'
    head, _, rest = SMALL.partition("[log]")
    study.write_text(head + log + "\n[[questions]]" + rest.partition("[[questions]]")[2])
    run = causalrec("run", study, cwd=tmp_path)
    assert run.returncode == 3
    assert "'shown'" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("command", ["check", "run"])
def test_exit_4_where_the_graph_does_not_identify(
    command: str, study: Path, tmp_path: Path
) -> None:
    study.write_text(SMALL.replace('"exposure_click"', '"exposure_click_latent"'))
    run = causalrec(command, study, cwd=tmp_path)
    assert run.returncode == 4
    assert "exposure <- taste -> click" in run.stderr


def test_graph_lists_shows_and_refuses(tmp_path: Path) -> None:
    listed = causalrec("graph", cwd=tmp_path)
    assert "rating_selection" in listed.stdout
    shown = causalrec("graph", "rating_selection", "--json", cwd=tmp_path)
    assert json.loads(shown.stdout)["adjustment"]
    refused = causalrec("graph", "exposure_click_latent", cwd=tmp_path)
    assert refused.returncode == 4
    assert "exposure <- taste -> click" in refused.stderr


def test_graph_writes_its_drawing_and_dagitty_text(tmp_path: Path) -> None:
    shown = causalrec("graph", "encouragement", "--output", "drawn", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "arm is an instrument" in shown.stdout
    assert "users: activity; items: price; events: arm, exposed, purchase" in shown.stdout
    assert "From its file: A randomised encouragement (Angrist, Imbens & Rubin 1996" in shown.stdout
    assert (tmp_path / "drawn" / "encouragement.svg").read_text("utf-8").startswith("<svg xmlns=")
    text = (tmp_path / "drawn" / "encouragement.dagitty.txt").read_text("utf-8")
    assert CausalGraph.from_dot(text) == load_graph("encouragement")
    refused = causalrec("graph", "exposure_click_latent", "--output", "drawn", cwd=tmp_path)
    assert refused.returncode == 4
    drawn = Path("drawn") / "exposure_click_latent.svg"
    assert str(drawn) in refused.stdout
    assert (tmp_path / drawn).is_file()
    path = causalrec("graph", "user_group_mix", "--query", "path", cwd=tmp_path)
    assert "natural indirect effect" in path.stdout
    assert causalrec("graph", "--output", "drawn", cwd=tmp_path).returncode == 2


def test_init_check_and_simulate(tmp_path: Path) -> None:
    assert causalrec("init", cwd=tmp_path).returncode == 0
    assert causalrec("check", "study.toml", cwd=tmp_path).returncode == 0
    made = causalrec(
        "simulate", "music", "--output", "world", "--n-users", "80", "--n-items", "30", cwd=tmp_path
    )
    assert made.returncode == 0, made.stderr
    assert "new users and items" in json.loads((tmp_path / "world" / "truth.json").read_text())


def test_run_is_short_and_says_where_the_report_is(study: Path, tmp_path: Path) -> None:
    run = causalrec("run", study, "-q", cwd=tmp_path)
    assert "effect: Being exposed changes" in run.stdout
    assert "report.json" in run.stdout
    assert "[untestable]" not in run.stdout
    assert (tmp_path / run.stdout.split("The report: ")[1].split(", ")[0].strip()).is_file()


def test_the_list_of_commands_is_not_cut() -> None:
    assert "..." not in causalrec("--help", cwd=Path.cwd()).stdout.split("Commands:")[1]


def test_a_threshold_on_an_unknown_question_names_the_near_miss(
    study: Path, tmp_path: Path
) -> None:
    run = causalrec("run", study, "-q", "--fail-on", "effct/dr.lower > 0", cwd=tmp_path)
    assert run.returncode == 2
    assert "Did you mean 'effect'?" in run.stderr
