"""Causal inference for recommender systems: graph -> effect -> debiased recommender -> audit.

`import causalrec` is light: names load the room that holds them when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_ROOMS = {
    "CausalGraph": "causalrec.graph",
    "Columns": "causalrec.interactions",
    "DebiasedMF": "causalrec.factorization",
    "Estimate": "causalrec.inference",
    "ExaminationModel": "causalrec.nuisances",
    "InteractionLog": "causalrec.interactions",
    "KnownPropensity": "causalrec.nuisances",
    "PropensityModel": "causalrec.nuisances",
    "Result": "causalrec.results",
    "ShadowPropensity": "causalrec.nuisances",
    "audit": "causalrec.audits",
    "bounds": "causalrec.evaluation",
    "check_graph": "causalrec.nuisances",
    "choose_propensity": "causalrec.nuisances",
    "compare_with_randomized": "causalrec.evaluation",
    "estimate_effect": "causalrec.effects",
    "estimate_mean": "causalrec.evaluation",
    "evaluate": "causalrec.evaluation",
    "family": "causalrec.evaluation",
    "list_graphs": "causalrec.graph",
    "load_graph": "causalrec.graph",
    "load_model": "causalrec.factorization",
    "plan_randomization": "causalrec.evaluation",
    "policy_value": "causalrec.evaluation",
    "read_log": "causalrec.interactions",
    "run_study": "causalrec.study",
    "simulate": "causalrec.simulation",
    "tune": "causalrec.factorization",
    "write_report": "causalrec.reporting",
}

_MODULES = ("datasets", "errors")

__all__ = [
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

if TYPE_CHECKING:
    from causalrec import datasets, errors
    from causalrec.audits import audit
    from causalrec.effects import estimate_effect
    from causalrec.evaluation import (
        bounds,
        compare_with_randomized,
        estimate_mean,
        evaluate,
        family,
        plan_randomization,
        policy_value,
    )
    from causalrec.factorization import DebiasedMF, load_model, tune
    from causalrec.graph import CausalGraph, list_graphs, load_graph
    from causalrec.inference import Estimate
    from causalrec.interactions import Columns, InteractionLog, read_log
    from causalrec.nuisances import (
        ExaminationModel,
        KnownPropensity,
        PropensityModel,
        ShadowPropensity,
        check_graph,
        choose_propensity,
    )
    from causalrec.reporting import write_report
    from causalrec.results import Result
    from causalrec.simulation import simulate
    from causalrec.study import run_study


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(importlib.import_module(_ROOMS[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"causalrec.{name}")
    raise AttributeError(f"module 'causalrec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
