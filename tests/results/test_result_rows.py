"""Rows from estimates, provenance, the family's words and the published schema."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from causalrec.results import (
    Assumption,
    Result,
    Row,
    Table,
    multiplicity,
    provenance,
    result_schema,
    rows_from_estimate,
)

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "result.schema.json"


def _estimate(**changed: Any) -> SimpleNamespace:
    made = {
        "labels": ("all", "f", "m"),
        "value": np.array([0.25, 0.3, np.nan]),
        "standard_error": np.array([0.05, 0.06, np.nan]),
        "n": np.array([400, 250, 150]),
        "clusters": {"user": np.array([40, 25, 15]), "item": 9},
        "effective_sample_size": 310.0,
        "status": ("ok", "not_estimable", "suppressed"),
        "interval": lambda level: np.array([[0.15, 0.35], [np.nan, np.nan], [0.1, 0.2]]),
        "p_value": lambda null: np.array([0.01, 0.2, 0.3]) + null,
    }
    return SimpleNamespace(**(made | changed))


def test_rows_keep_what_is_finite_and_nothing_of_what_is_suppressed() -> None:
    rows = rows_from_estimate(
        _estimate(),
        metric="mse",
        population="supported cells",
        estimator="dr",
        unit="users",
        groups={"f": {"gender": "f"}, "m": {"gender": "m"}},
        interval_method="two-way clustered",
        n={"f": 25},
        p_adjusted={"all": 0.03},
        derived_from={"f": ["all"]},
    )
    everybody, women, men = rows
    assert (everybody.lower, everybody.upper, everybody.p_value) == (0.15, 0.35, 0.01)
    assert everybody.p_adjusted == 0.03
    assert everybody.clusters == {"item": 9, "user": 40}
    assert (women.value, women.lower, women.p_value, women.n) == (0.3, None, 0.2, 25)
    assert (women.group, women.status, women.interval_method) == (
        {"gender": "f"},
        "not_estimable",
        "",
    )
    assert women.derived_from == ("all",)
    assert men == Row(
        label="m",
        metric="mse",
        population="supported cells",
        estimator="dr",
        unit="users",
        status="suppressed",
        group={"gender": "m"},
    )


def test_a_mean_has_no_p_value_unless_there_is_a_null() -> None:
    about = {"metric": "mse", "population": "", "estimator": "dr"}
    assert rows_from_estimate(_estimate(), null=None, **about)[0].p_value is None
    assert rows_from_estimate(_estimate(), null=0.5, **about)[0].p_value == 0.51


def test_provenance_names_versions_and_fingerprints_and_no_clock() -> None:
    log = SimpleNamespace(
        kind="ratings", n_rows=1000, n_users=20, n_items=50, fingerprint=lambda: "abc"
    )
    made = provenance({"train": log, "slice": log}, seed=3, config={"k": [1, 2]}, command="run")
    assert made.data["train"] == "ratings: 1,000 rows, 20 users, 50 items, sha256 abc"
    assert list(made.data) == ["slice", "train"]
    assert {"causalrec", "numpy", "pandas", "python", "scikit-learn", "scipy"} <= set(made.versions)
    assert made == provenance({"slice": log, "train": log}, 3, {"k": [1, 2]}, command="run")
    assert provenance(log).data == {"log": made.data["train"]}


@pytest.mark.parametrize("correction", ["holm", "bh", "sup-t", "none"])
def test_the_family_is_said_in_words(correction: Any) -> None:
    assert multiplicity(4, correction, "gaps").startswith("One family of 4 gaps, ")


def _schema_text() -> str:
    return json.dumps(result_schema(), indent=1, ensure_ascii=False) + "\n"


def test_the_published_schema_is_the_one_of_the_code() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == _schema_text(), "run: make golden"


def test_a_result_survives_its_own_json() -> None:
    result = Result(
        kind="study",
        title="t",
        sections=(Result(kind="effect", title="e", rows=(Row(label="a", value=1.5, n=20),)),),
    )
    assert Result.from_json(result.to_json()) == result
    assert set(result.to_dict()) <= set(result_schema()["$defs"]["Result"]["properties"])


if __name__ == "__main__":
    SCHEMA.parent.mkdir(exist_ok=True)
    SCHEMA.write_text(_schema_text(), encoding="utf-8")


def test_a_summary_is_made_of_sentences() -> None:
    stated = Assumption(name="overlap", statement="all had a chance", status="tested",
                        evidence="0 of 9 had none")  # fmt: skip
    text = Result(kind="mean", title="t", assumptions=(stated,)).summary()
    assert text.endswith("[tested] overlap: all had a chance. 0 of 9 had none.\n")


def test_a_table_becomes_a_frame_and_names_a_result_without_rows() -> None:
    table = Table(name="balance", title="Balance <b>", columns=("feature", "after"),
                  rows=(("age", 0.1),))  # fmt: skip
    assert table.to_frame().to_dict("list") == {"feature": ["age"], "after": [0.1]}
    shown = Result(kind="propensity", title="t", tables=(table,))._repr_html_()
    assert "<li>Balance &lt;b&gt;</li>" in shown
    assert "<table>" not in shown
