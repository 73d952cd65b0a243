"""What a weighted number rests on where the weights come from a shadow variable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from causalrec.results import Assumption

if TYPE_CHECKING:
    from causalrec.graph import Estimand
    from causalrec.nuisances import ShadowPropensity


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
