"""What a page calls a result of each kind."""

from __future__ import annotations

from causalrec.results import Result

_KIND_WORDS = {
    "effect": "Effect of exposure",
    "estimators": "Estimators side by side",
    "heterogeneity": "For whom",
    "validation": "Check of predicted effects",
    "policy_tree": "Whom to expose",
    "paths": "Paths of an effect",
    "interference": "Interference",
    "refutation": "Attempts to refute",
    "sensitivity": "Unmeasured confounding",
    "mean": "Debiased mean",
    "bounds": "Bounds",
    "evaluation": "Evaluation",
    "policy_value": "Policy value",
    "comparison": "Comparison with a randomised slice",
    "audit": "Fairness audit",
    "decomposition": "Parts of a gap",
    "impact_ratios": "Impact ratios",
    "mitigations": "Mitigations compared",
    "simulation": "Simulation of a feedback loop",
    "evidence_annex": "Evidence annex",
    "model_card": "Model card",
    "tuning": "Tuning",
    "randomization_plan": "Plan of a randomised slice",
    "propensity": "Propensity diagnostics",
    "graph_check": "Check of a graph",
    "study": "Study",
}


def kind_words(result: Result, *, outermost: bool) -> str:
    """Return the words that stand above a result's title.

    Parameters
    ----------
    result : Result
    outermost : bool
        Whether it is the page, and not one of its sections.
    """
    of_groups = result.kind == "effect" and all(r.group or r.derived_from for r in result.rows)
    kind = "heterogeneity" if of_groups and not outermost else result.kind
    return _KIND_WORDS.get(kind, kind.replace("_", " "))
