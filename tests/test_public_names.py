"""The public surface is a literal list: a change to it is a reviewed diff. And it stays light."""

from __future__ import annotations

import subprocess
import sys

import pytest

import causalrec

PUBLIC = [
    "CausalGraph",
    "Columns",
    "DebiasedMF",
    "Estimate",
    "ExaminationModel",
    "InteractionLog",
    "KnownPropensity",
    "PropensityModel",
    "Result",
    "ShadowPropensity",
    "audit",
    "bounds",
    "check_graph",
    "choose_propensity",
    "compare_with_randomized",
    "datasets",
    "errors",
    "estimate_effect",
    "estimate_mean",
    "evaluate",
    "family",
    "list_graphs",
    "load_graph",
    "load_model",
    "plan_randomization",
    "policy_value",
    "read_log",
    "run_study",
    "simulate",
    "tune",
    "write_report",
]


def test_the_public_names_are_these() -> None:
    assert sorted(causalrec.__all__) == PUBLIC
    assert [name for name in dir(causalrec) if not name.startswith("_")] == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_loads_and_has_a_docstring(name: str) -> None:
    assert getattr(causalrec, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'estimate_efect'"):
        causalrec.estimate_efect  # noqa: B018


def _modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(' '.join(m.split('.')[0] for m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


HEAVY = {"pandas", "scipy", "sklearn", "dowhy", "econml", "numba", "matplotlib", "networkx"}


def test_import_is_light() -> None:
    assert not _modules_after("import causalrec") & HEAVY


def test_the_command_lines_help_is_light() -> None:
    statement = (
        "from typer.testing import CliRunner; from causalrec.cli import app;"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0"
    )
    assert not _modules_after(statement) & (HEAVY | {"numpy", "pydantic"})
