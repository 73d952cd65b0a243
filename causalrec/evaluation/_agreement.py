"""Do two numbers agree: difference, equivalence, what could have been found, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from causalrec.evaluation._engine import Sums, key
from causalrec.evaluation._plan import Plan
from causalrec.evaluation._terms import Term
from causalrec.inference import Estimate, holm
from causalrec.results import Table

POWER = 0.8


@dataclass(frozen=True)
class Agreement:
    """What one comparison says.

    Attributes
    ----------
    estimate : Estimate
        The difference, one label.
    lower, upper : float
    equivalence_p : float
        Two one-sided tests (Schuirmann 1987): the larger p of "at most -margin" and "at least
        margin".
    detectable : float
        Smallest true difference that this comparison would find with probability .8.
    p_value, adjusted_p : float
        Of no difference; alone, and within the family (None where it is alone).
    """

    estimate: Estimate
    lower: float
    upper: float
    equivalence_p: float
    detectable: float
    p_value: float
    adjusted_p: float | None = None

    @property
    def differ(self) -> bool:
        """Whether the difference is there, within the family where there is one."""
        p = self.p_value if self.adjusted_p is None else self.adjusted_p
        return p < 1.0 - self.estimate.level


def agreement(difference: Estimate, margin: float, level: float) -> Agreement:
    """Judge a difference: its interval, equivalence within a margin, what it could detect."""
    from scipy import stats

    lower, upper = difference.interval(level)[0]
    value = float(difference)
    error = float(difference.standard_error[0])
    freedom = float(difference.degrees_of_freedom[0])
    below = _one_sided(difference, margin, value < margin)
    above = _one_sided(difference, -margin, value > -margin)
    critical = stats.t.ppf(0.5 + level / 2, freedom) + stats.t.ppf(POWER, freedom)
    return Agreement(
        difference,
        float(lower),
        float(upper),
        max(below, above),
        float(critical * error),
        float(difference.p_value()[0]),
    )


def judged_together(judgements: Sequence[Agreement]) -> list[Agreement]:
    """Correct several differences by Holm; a single one stays as it is."""
    if len(judgements) == 1:
        return list(judgements)
    adjusted = holm(np.array([judged.p_value for judged in judgements]))
    return [replace(j, adjusted_p=float(p)) for j, p in zip(judgements, adjusted, strict=True)]


def _one_sided(difference: Estimate, null: float, towards: bool) -> float:
    half = float(difference.p_value(null)[0]) / 2.0
    return half if towards else 1.0 - half


def has_name(term: Term) -> bool:
    """Whether the model has a name of its own, not the one that a single model gets."""
    return term.model not in {"", "model"}


def line_of(
    term: Term, judged: Agreement, lam: float | None, at_least: float | None
) -> tuple[Any, ...]:
    return (
        term.metric,
        term.model,
        float(judged.estimate),
        judged.lower,
        judged.upper,
        judged.equivalence_p,
        judged.detectable,
        lam,
        at_least,
    )


def agreement_table(lines: Sequence[tuple[Any, ...]], margin: float) -> Table:
    finite = [
        tuple(
            None if isinstance(entry, float) and not math.isfinite(entry) else entry
            for entry in line
        )
        for line in lines
    ]
    return Table(
        name="agreement",
        title="Agreement with the randomised slice",
        columns=(
            "metric",
            "model",
            "difference",
            "lower",
            "upper",
            "equivalence p",
            "detectable difference",
            "Lambda",
            "Lambda at least",
        ),
        rows=tuple(finite),
        caption=f"Equivalence: two one-sided tests within {margin:g}. Detectable: with"
        f" probability {POWER:g}. Lambda: the smallest factor by which the odds of being recorded"
        " would have to be wrong for the bounds to reach the slice's value; at least: for the"
        " interval of their difference to hold zero.",
    )


def agreement_answer(
    plan: Plan,
    sums: Sums,
    judgements: Sequence[Agreement],
    lambdas: tuple[Sequence[float | None], Sequence[float | None]],
    margin: float,
) -> str:
    """Return the first comparison in words, and how many of the others agree."""
    head = plan.estimators[0]
    first = _sentence(
        plan.terms[0], head, sums, judgements[0], margin, (lambdas[0][0], lambdas[1][0])
    )
    if len(judgements) == 1:
        return first
    differ = [
        f"{term.model}: {term.metric}" if has_name(term) else term.metric
        for term, judged in zip(plan.terms, judgements, strict=True)
        if judged.differ
    ]
    agree = sum(judged.equivalence_p < 0.05 for judged in judgements)
    named = f" ({', '.join(differ)})" if differ else ""
    return (
        f"{first} Of {len(judgements)} numbers compared, {len(differ)} differ by Holm{named} and"
        f" {agree} agree within {margin:g}."
    )


def _sentence(
    term: Term,
    head: str,
    sums: Sums,
    judged: Agreement,
    margin: float,
    lam: tuple[float | None, float | None],
) -> str:
    value = float(sums.estimate[key(term, head)])
    randomised = float(sums.estimate[key(term, "randomized")])
    subject = (
        term.metric if not term.model or term.model == "model" else f"{term.metric} of {term.model}"
    )
    start = (
        f"The {head.upper()} {subject} from the biased log is {value:.4g}, the randomised slice"
        f" gives {randomised:.4g}: a difference of {float(judged.estimate):.3g}"
        f" [{judged.lower:.3g}, {judged.upper:.3g}] (standard error"
        f" {float(judged.estimate.standard_error[0]):.2g})."
    )
    if not (np.isfinite(judged.lower) and np.isfinite(judged.upper)):
        return f"{start} There are too few clusters for an interval."
    if judged.differ:
        reach = ""
        if lam[0] is not None:
            least = "" if lam[1] is None else f", by less than {lam[1]:.2f} would not"
            reach = (
                f" Odds of being recorded that are wrong by a factor of {lam[0]:.2f} would be"
                f" enough{least}."
            )
        return (
            f"{start} They differ: either the outcome itself decides what is recorded, beyond the"
            f" covariates, or the propensity model is wrong.{reach}"
        )
    if judged.equivalence_p < 0.05:
        return f"{start} They agree within {margin:g} (p = {judged.equivalence_p:.2g})."
    return (
        f"{start} They cannot be told apart, but neither are they shown to agree within"
        f" {margin:g}; a difference of {judged.detectable:.3g} would have been found."
    )
