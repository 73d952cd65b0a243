"""What a weighted number rests on where the weights come from a shadow variable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causalrec.errors import IdentificationError
from causalrec.results import Assumption

if TYPE_CHECKING:
    from causalrec.graph import Estimand
    from causalrec.nuisances import ShadowPropensity

SMALLEST_STRENGTH = 1.0
"""The F that a column of chance has on average: a shadow below it says nothing."""
LARGEST_SLOPE_ERROR = 2.0
"""Of the slope, times the standard deviation of the outcome. Beyond it the 95 % interval leaves the
odds of being recorded, for outcomes a deviation apart, open by a factor of 50 both up and down."""
LARGEST_STEP = 1e-3
"""Of the mean by one more step of the equations, in standard deviations of the outcome."""


def require_telling(propensity: ShadowPropensity, unsolved: float) -> None:
    """Refuse a shadow whose equations do not tell how the outcome decides its recording.

    Parameters
    ----------
    propensity : ShadowPropensity
    unsolved : float
        By how much one more step of the equations would move the mean.

    Raises
    ------
    IdentificationError
        If the shadow is weaker than chance, the slope of the outcome unknown, or the equations are
        not solved.
    """
    from causalrec.nuisances import WEAK_SHADOW

    strength, error = propensity.strength_, propensity.slope_error_
    deviation = float(propensity.fitted.equations.design[:, -1].std())
    found = []
    if not strength >= SMALLEST_STRENGTH:
        found.append(f"a column of chance has an F of {SMALLEST_STRENGTH:g} on average")
    if not error * deviation <= LARGEST_SLOPE_ERROR:
        found.append(
            f"a unit of the outcome adds {propensity.slope_:.3g} to the logit of being recorded,"
            f" with a standard error of {error:.3g}, where"
            f" {LARGEST_SLOPE_ERROR / deviation:.3g} is the most that says anything"
        )
    if not unsolved <= LARGEST_STEP * deviation:
        found.append(
            f"the equations are not solved: one more step would move the mean by {unsolved:.3g}"
            " (a smaller tolerance may help)"
        )
    if found:
        weak = "" if strength >= WEAK_SHADOW else "hardly predicts the outcome and "
        raise IdentificationError(
            f"The shadow variable {propensity.shadow_!r} {weak}does not tell how the outcome"
            f" decides its recording (F = {strength:.3g}): {'; '.join(found)}. No mean follows from"
            " it. Use a randomised slice (using='randomized'), cr.bounds, or a shadow that moves"
            " the outcome more."
        )


def weakness(propensity: ShadowPropensity) -> str:
    """Return the sentence that an answer through a weak shadow carries; "" for a strong one."""
    from causalrec.nuisances import WEAK_SHADOW

    if propensity.strength_ >= WEAK_SHADOW:
        return ""
    return (
        f" The shadow variable {propensity.shadow_} is weak (F = {propensity.strength_:.3g}, below"
        f" {WEAK_SHADOW:g}): this mean and its interval lean on chance."
    )


def shadow_assumptions(
    propensity: ShadowPropensity, estimand: Estimand | None, *, stacked: bool
) -> tuple[Assumption, ...]:
    """Return what a number rests on: the shadow, its strength, the form of the propensity.

    Parameters
    ----------
    propensity : ShadowPropensity
    estimand : Estimand or None
        The graph's answer.
    stacked : bool
        Whether the interval includes the error of the propensity's parameters.
    """
    from causalrec.nuisances import WEAK_SHADOW

    shadow, given = propensity.shadow_, ", ".join(propensity.covariates_) or "nothing else"
    source = "as was said in naming it" if estimand is None else "as the graph says"
    excess, freedom, p_value = propensity.overidentification_
    tested = (
        f"Overidentification: F({freedom}) = {excess:.3g}, p = {p_value:.3g}; it sees a say that"
        " differs between groups or bends, not one that a different slope would imitate."
        if freedom
        else "There are as many equations as parameters: nothing in these data can tell. Compare"
        " with a randomised slice."
    )
    rejected = bool(freedom) and p_value < 0.01
    taken = (
        "The interval includes the error of its parameters."
        if stacked
        else "The interval takes its parameters as known."
    )
    words = "" if estimand is None else f". {estimand.words}"
    return (
        Assumption(
            name="shadow variable",
            statement=f"given the outcome and {given}, {shadow} has no say in whether the outcome"
            f" is recorded ({source}){words}",
            status="violated" if rejected else "untestable",
            evidence=tested,
        ),
        Assumption(
            name="strong shadow",
            statement=f"{shadow} moves the outcome enough to tell how the outcome decides its"
            " recording",
            status="tested" if propensity.strength_ >= WEAK_SHADOW else "violated",
            evidence=f"F = {propensity.strength_:.3g}, clustered; below {WEAK_SHADOW:g} is weak.",
        ),
        Assumption(
            name="form of the propensity",
            statement="the logit of being recorded is linear in the outcome and in the covariates"
            + (" and their user x item products" if propensity.crosses else "")
            + ", and every eligible cell could have been recorded",
            status="untestable",
            evidence=f"Needed. {taken} The weighted cells"
            " match all cells in every function of covariates and shadow that is balanced, so an"
            " outcome model that is linear in these would change nothing.",
        ),
    )
