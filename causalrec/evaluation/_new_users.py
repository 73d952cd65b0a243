"""Intervals of lists: for new users of this catalogue.

What a list gains from an item is no property of the item alone: with other items beside it, it
would stand elsewhere or not be listed. Item clusters would take "this item is in everybody's list"
for the chance of the draw (four times too wide where lists agree, measured). So lists are for this
catalogue.
"""

from __future__ import annotations

from dataclasses import replace

from causalrec.inference import Estimate

NOTE = (
    "Metrics of lists have intervals for new users of this catalogue: with other items the lists"
    " themselves would be others."
)


def for_new_users(estimate: Estimate) -> Estimate:
    """Return the estimate with users alone as drawn at random.

    Parameters
    ----------
    estimate : Estimate
        Clustered by user and item; anything else is returned as it is.
    """
    influence = estimate.influence
    if set(influence.sampled) != {"user", "item"}:
        return estimate
    own = replace(
        influence,
        sampled=("user",),
        terms={("user",): influence.terms["user",]},
        shares={"user": influence.shares["user"]},
        parts=(),
    )
    return replace(estimate, influence=own)
