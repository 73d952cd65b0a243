"""What the refuters say, and what each can and cannot show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from causalrec.effects._draws import KEPT, PLACEBO, SUBSET
from causalrec.results import Row, format_cell

if TYPE_CHECKING:
    from causalrec.effects._adjustment import Floats
    from causalrec.inference import Estimate

STRICT = 3.0
"""A mean of draws further from where it should be than so many of its errors is off."""
RARE = 0.05
QUICK = "the effect by the estimator that the draws use"
HOW = (
    "Each draw is estimated anew by a quick doubly robust score: logistic propensity and linear"
    " outcome models in the main effects, not cross-fitted. Propensities that were given are kept"
    " where the exposure is the true one. p = (1 + #) / (1 + draws): for the placebo the share of"
    " draws as far from zero as the estimate, else twice the smaller tail at it. A large p proves"
    " nothing."
)
CAN_AND_CANNOT = {
    "placebo exposure": "Placebo exposure, dealt again within each user, the user's rate adjusted"
    " for: it can show that the estimator finds effects where there are none; it cannot show"
    " confounding, which the dealing destroys.",
    "random common cause": "Random common cause: it can show that the estimate hangs on the choice"
    " of covariates by chance; it cannot show a real confounder, which is not random.",
    "subset of users": f"Subset of {KEPT:.0%} of the users: it can show that a few users carry the"
    " estimate; it cannot show confounding, which every subset shares.",
    "negative-control outcome": "Negative-control outcome: exposure cannot cause it, so an effect"
    " on it shows confounding by what moves it; none shows only that what moves it does not"
    " confound.",
    "negative-control exposure": "Negative-control exposure: it cannot cause the outcome, so an"
    " effect of it (the true exposure adjusted for) shows a confounder that it shares; none shows"
    " only that it shares none.",
}


def verdict(name: str, draws: Floats, p: float) -> str:
    """Return what the draws of one refuter say."""
    if name == PLACEBO:
        error = float(draws.std(ddof=1)) / np.sqrt(len(draws)) if len(draws) > 1 else np.inf
        if abs(float(draws.mean())) > STRICT * error:
            return "off zero: effects are found where there are none"
        beyond = "beyond" if p <= RARE else "not beyond"
        return f"centred at zero; the estimate is {beyond} the draws"
    moved = "the estimate is at the edge of the draws" if p <= RARE else "the estimate stands"
    return f"{moved} ({'whoever is left out' if name == SUBSET else 'one more covariate'})"


def negative(found: Estimate, column: str, what: str) -> str:
    """Return what a negative control says."""
    p = float(found.p_value()[0])
    if p <= RARE:
        return f"{column!r}: an effect where there can be none: unmeasured confounding"
    return f"{column!r}: no effect found, as there should be none"


def answer(rows: Sequence[Row]) -> str:
    """Return one paragraph: what fell and what stood."""
    parts = [f"The quick estimate is {format_cell(rows[0].value)}."]
    for row in rows[1:]:
        mean = "mean of draws" if "draws" in row.interval_method else "effect"
        p = f", p = {format_cell(row.p_value)}" if row.p_value is not None else ""
        name = f"{row.label[0].upper()}{row.label[1:]}"
        parts.append(f"{name}: {mean} {format_cell(row.value)}{p}; {row.note}.")
    return " ".join([*parts, "None of this proves that nothing is unmeasured."])
