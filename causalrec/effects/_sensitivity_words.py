"""A sensitivity analysis in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from causalrec.results import Assumption, format_cell

if TYPE_CHECKING:
    from causalrec.effects._linear_confounding import LinearConfounding
    from causalrec.effects._sensitivity import Findings


def answer(found: Findings, outcome: str) -> str:
    """Return one paragraph that can be pasted into a memo."""
    value = found.robustness[0]
    parts = [
        "To bring the linear estimate of the effect"
        f" ({format_cell(found.linear.estimate)}) to zero, an unmeasured confounder would have to"
        f" explain {value:.1%} of what is left of both the exposure and {outcome}"
        f" ({_at_level(found)})"
    ]
    if found.benchmarks and np.isfinite(found.benchmarks[0].times):
        strongest = found.benchmarks[0]
        parts.append(
            f", that is be {format_cell(strongest.times)} times as strong as"
            f" {strongest.covariate!r}, the strongest confounder observed"
        )
    parts.append(".")
    if found.lambda_interval is not None:
        parts.append(f" {_lambda(found)}")
    return "".join(parts)


def _at_level(found: Findings) -> str:
    strength = found.robustness[1]
    if np.isnan(strength):
        return "there is no interval: too few clusters"
    if strength == 0.0:
        return f"its {found.level:.0%} interval covers zero already"
    return f"{strength:.1%} for its {found.level:.0%} interval to reach zero"


def _lambda(found: Findings) -> str:
    lam = found.lambda_interval
    if lam is None or np.isnan(lam):
        return "There is no interval to ask when it would cover zero: too few clusters."
    if lam <= 1.0:
        return "The interval of the effect covers zero even if the propensities are right."
    if not np.isfinite(lam):
        return (
            "No error in the odds of exposure below a factor of 100 makes the interval cover zero."
        )
    yardstick = ""
    if found.benchmarks:
        largest = max(found.benchmarks, key=lambda one: (one.lam, one.covariate))
        yardstick = (
            f"; leaving out {largest.covariate!r} moves them by a factor of up to"
            f" {format_cell(largest.lam)} in 95% of the rows"
        )
    return (
        "The interval of the effect first covers zero if the odds of exposure are wrong by a"
        f" factor of {format_cell(lam)}{yardstick}."
    )


def assumptions(found: Findings) -> tuple[Assumption, ...]:
    """Return what the figures rest on."""
    worst = "The bias is the worst that a confounder of this strength could cause"
    listed = [
        Assumption(
            name="no unmeasured confounding",
            statement="Nothing unmeasured moves both the exposure and the outcome. No data can show"
            " it; these figures say how wrong it would have to be.",
            status="untestable",
            evidence=robustness_words(found.linear, found.half_width, found.level),
        ),
        Assumption(
            name="robustness values",
            statement="They describe the regression of the outcome on the exposure and the"
            f" covariates, linear in both. {worst}, in the direction of zero.",
            status="by design",
        ),
    ]
    if found.bounds:
        listed.append(
            Assumption(
                name="marginal sensitivity model",
                statement="In every row the true odds of exposure, given the covariates and what"
                " would happen, are within a factor Lambda of the propensity's.",
                status="untestable",
            )
        )
    return tuple(listed)


def robustness_words(linear: LinearConfounding, half_width: float, level: float) -> str:
    """Return the robustness value in a sentence."""
    value, interval = linear.robustness_value(), linear.robustness_value(half_width)
    words = f" ({interval:.1%} for its {level:.0%} interval to reach zero)"
    words = "" if np.isnan(interval) else words
    return (
        f"Robustness value {format_cell(value)}: a confounder would have to explain {value:.1%} of"
        " what is left of both exposure and outcome to bring a linear estimate of the effect to"
        f" zero{words}."
    )


def notes(found: Findings) -> tuple[str, ...]:
    """Return caveats: what could not be computed, and what a yardstick is worth."""
    listed = [
        "An observed covariate is a yardstick, not a limit: the confounder that was not measured"
        " may be stronger than all that were.",
    ]
    if found.marginal.obstacle:
        listed.append(f"No bounds by Lambda: {found.marginal.obstacle}.")
    if found.omitted is None:
        listed.append(
            "No doubly robust robustness value: this estimator fits no outcome models"
            " (estimator='dr' does)."
        )
    y = found.computation.population.outcome
    if found.bounds and found.marginal.sharp and not np.isin(y, (0.0, 1.0)).all():
        listed.append(
            "The bounds by Lambda are valid whatever the outcome's law; they are the sharpest only"
            " where the residuals of an arm have one shape in all rows."
        )
    if found.e_value is None:
        listed.append("No E-value: an adjusted mean of an arm is not positive.")
    return tuple(listed)
