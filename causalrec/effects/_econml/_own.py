"""What EconML itself would report, beside ours: the same number with another interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scipy.stats import norm

from causalrec.results import Table

if TYPE_CHECKING:
    from causalrec.results import Row


@dataclass(frozen=True)
class OwnAnswer:
    """EconML's own answer.

    Attributes
    ----------
    learner : str
        The class that was fitted.
    quantity : str
        Whose average its number is.
    value : float
        Exposed minus unexposed.
    standard_error : float or None
        As EconML has it, for independent rows; None where it offers none.
    """

    learner: str
    quantity: str
    value: float
    standard_error: float | None


def own_table(own: OwnAnswer, row: Row, sampled: Sequence[str], sign: float) -> Table:
    """Return EconML's interval beside ours.

    Parameters
    ----------
    own : OwnAnswer
    row : Row
        Ours.
    sampled : sequence of str
        What our interval treats as drawn.
    sign : float
        Of the contrast.
    """
    half = None
    if own.standard_error is not None:
        half = float(norm.ppf(0.5 + row.level / 2.0)) * own.standard_error
    value, ours = sign * own.value, " and ".join(sampled) or "these very rows"
    ends = (None, None) if half is None else (value - half, value + half)
    return Table(
        name="econml",
        title=f"The interval of EconML's {own.learner} beside ours",
        columns=("interval", "of", "effect", "standard error", "lower", "upper"),
        rows=(
            (f"ours: {ours}", row.population, row.value, row.standard_error, row.lower, row.upper),
            ("EconML: independent rows", own.quantity, value, own.standard_error, *ends),
        ),
        caption="EconML takes rows as independent. Rows of one user and of one item are alike, so"
        " its interval is too short for new users and items; the answer uses ours.",
    )
