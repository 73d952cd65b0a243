"""Every script in examples/ runs as an analyst would run it, and says what it promises."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


PROMISES = {
    "effect_of_recommendation": (
        "The log does not contradict the graph",
        "Being exposed changes purchase by",
        "times as strong as",
        "None of this proves that nothing is unmeasured",
        "do not differ beyond chance",
        "raises its chance of being bought by",
        "effect-report.html",
    ),
    "position_bias": (
        "Position 1 rather than 5 changes click by",
        "The observed means differ by",
        "intervals hold together",
        "in clicks per 100 impressions",
        "position-report.html",
    ),
    "audit_user_gaps": (
        "Gaps between the countries, as recorded, corrected, and in truth",
        "mean  naive -0.12 [-0.19, -0.05]     corrected (DR) -0.00 [-0.06, +0.06]",
        "truth +0.18",
        "by chance, p",
        "with exchanged labels",
        "mse, country, B - A: 1.0",
        "would explain it",
        "users-report.html",
    ),
    "audit_music_providers": (
        "Attention of a song, independent over major",
        "random lists give",
        "attention for merit (DTR)",
        "sampling alone would give",
        "songs of small labels get less attention",
        "providers-report.html",
    ),
    "ab_encouragement": (
        "exposure <- taste -> watch_time",
        "compliers",
        "This is not the effect on everybody",
        "encouragement-report.html",
    ),
    "cold_start": (
        "items lose all their ratings",
        "mse: no features - prior",
        "(95% interval",
        "Items held fixed",
        "cold-start-report.html",
    ),
    "mitigation_frontier": (
        "Independent labels hold",
        "on the frontier, beyond chance",
        "Paired with the deployed lists",
        "better than deployed, beyond chance",
        "mitigation-report.html",
    ),
    "off_policy_value": (
        "with intervals that hold together",
        "cannot be told apart",
        "a slate is worth",
        "VIOLATED: The mean weight is",
        "the bandit, from the uniform log",
        "weighted by what their past foretells",
        "policy-report.html",
    ),
    "train_debiased": (
        "rating -> observed",
        "Judged on songs drawn at random",
        "the squared error compared with naive training changes by",
        "(95% intervals, paired)",
        "training-report.html",
    ),
    "uplift_recommender": (
        "times as noisy as an outcome",
        "more than 'by outcome'",
        "paired over users",
        "The difference is beyond chance",
        "uplift-report.html",
    ),
    "gap_pathways": (
        "baseline",
        "truth +0.0273",
        "activity is a recanting witness",
        "remainder",
        "12 end where they should",
        "could bring it to zero",
        "not effects of gender",
        "pathways-report.html",
    ),
    "why_not_identified": (
        "exposure <- taste -> click",
        "identified by instrument",
        "identified by front-door",
        "rating -> observed",
        "Three ways out",
    ),
}


def _run(name: str, *arguments: str, cwd: Path) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_every_example_is_run_here() -> None:
    assert {p.stem for p in EXAMPLES.glob("*.py")} == {"coat", "factorize_by_hand", *PROMISES}


@pytest.mark.parametrize("name", PROMISES)
def test_it_says_what_it_promises(name: str, tmp_path: Path) -> None:
    printed = _run(f"{name}.py", cwd=tmp_path)
    for promise in PROMISES[name]:
        assert promise in printed
    for report in tmp_path.glob("*.html"):
        assert report.stat().st_size < 300 * 1024


def test_factorize_by_hand(tmp_path: Path) -> None:
    printed = _run("factorize_by_hand.py", cwd=tmp_path)
    assert "naive" in printed
    assert "truth" in printed


@pytest.mark.data
def test_coat(data_dir: Callable[[str], Path], tmp_path: Path) -> None:
    printed = _run("coat.py", str(data_dir("coat")), cwd=tmp_path)
    assert "2.331" in printed
    assert "2.229" in printed
    error = {
        name: float(line.split()[2])
        for line in printed.splitlines()
        for name in ("naive", "ips", "mrdr")
        if line.strip().startswith(f"{name}: mse")
    }
    assert error["naive"] >= 1.24
    assert error["ips"] <= 1.14
    assert error["mrdr"] <= 1.11
    assert (tmp_path / "coat-report.html").stat().st_size < 300 * 1024
