"""Golden files: the page and the JSON of one small result, byte for byte.

Run this file as a script to write them again (`make golden`), and read the diff.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from causalrec.reporting import write_report
from causalrec.results import Assumption, Provenance, Result, Row, Table

GOLDEN = Path(__file__).resolve().parent / "golden"
NAMES = ("effect.html", "effect.json", "effect.md", "effect.csv", "effect.tex")


def small_result() -> Result:
    """Return a result with one of everything, without the versions of this machine."""
    rows = tuple(
        Row(
            label=estimator,
            estimator=estimator,
            metric="effect",
            value=value,
            standard_error=error,
            lower=value - 2 * error,
            upper=value + 2 * error,
            n=1200,
            clusters={"user": 60, "item": 20},
            population="supported cells",
            interval_method="two-way clustered",
        )
        for estimator, value, error in (("naive", 0.25, 0.0125), ("dr", 0.125, 0.03125))
    )
    hidden = Row(label="plan=student", metric="effect", group={"plan": "student"}, estimator="dr",
                 status="suppressed", note="hidden: fewer than 11 users")  # fmt: skip
    return Result(
        kind="effect",
        title="Showing sells",
        question="How much?",
        answer="By 12.5 points (95 % interval 6.25 to 18.75).",
        rows=(*rows, hidden),
        tables=(
            Table(name="balance", title="Balance", columns=("covariate", "before", "after"),
                  rows=(("age", 0.5, 0.0625), ("price", -0.25, 0.03125)), figure="dots",
                  x="covariate", y=("before", "after"), caption="Standardised differences."),
        ),
        assumptions=(
            Assumption(name="no unmeasured confounding", status="untestable",
                       statement="Nothing else moves both.", evidence="Up to Λ = 1.5."),
        ),
        notes=("None was clipped.",),
        graph_dot="digraph g { a [role=exposure]; y [role=outcome]; x -> a; x -> y; a -> y }",
        adjustment=("x",),
        provenance=Provenance(versions={"causalrec": "0.1.0"}, seed=1, data={"log": "sha256 ab"},
                              config={"estimator": "dr"}),
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_report_is_the_golden_one(name: str, tmp_path: Path) -> None:
    written = write_report(small_result(), tmp_path / name).read_bytes()
    assert written == (GOLDEN / name).read_bytes(), "run: make golden, and read the diff"


if __name__ == "__main__":
    for golden_name in NAMES:
        write_report(small_result(), GOLDEN / golden_name)
