"""What the diagnostics say of each group, in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from causalrec.nuisances._base import Propensity
from causalrec.nuisances._grid_logit import blocks
from causalrec.nuisances._profile import PropensityProfile, levels_of
from causalrec.nuisances._resolve import grid_propensity, row_propensity
from causalrec.results import Table

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances._balance import BalanceLine
    from causalrec.nuisances._support import Support

Floats = NDArray[np.float64]


def group_table(
    propensity: Propensity,
    log: InteractionLog,
    by: str,
    supported: Support,
    lines: tuple[BalanceLine, ...],
    profile: PropensityProfile,
) -> Table:
    """Return weights, clipping, support and balance of each level of a column.

    Parameters
    ----------
    propensity : Propensity
    log : InteractionLog
    by : str
    supported : Support
    lines : tuple of BalanceLine
        The features of the other side within each level; numbers have none.
    profile : PropensityProfile
        Of the same `by`.
    """
    unsupported = supported.share_by(by)
    clipped = _share_clipped(propensity, log, by, profile)
    rows = []
    for g, group in enumerate(profile.groups):
        weight, squares = float(profile.weight[g]), float(profile.squared_weight[g])
        mine = [x for x in lines if x.group == f"{by}={group}"]
        after = max((abs(x.after) for x in mine), default=None)
        rows.append((
            group,
            weight / max(float(profile.population[g].sum()), 1.0),
            weight**2 / squares if squares > 0 else 0.0,
            float(clipped[g]),
            unsupported.get(group, 0.0),
            after,
            sum(x.unbalanced for x in mine) if mine else None,
        ))  # fmt: skip
    return Table(
        name="groups",
        title=f"Each group of {by}",
        columns=(
            "group", "sum(1/p)/cells", "effective sample size", "share clipped",
            "share unsupported", "largest difference", "unbalanced features",
        ),
        rows=tuple(rows),
        caption="The largest standardised difference of a feature within the group, after"
        " weighting; groups of one side are compared in the features of the other.",
    )  # fmt: skip


def _share_clipped(
    propensity: Propensity, log: InteractionLog, by: str, profile: PropensityProfile
) -> Floats:
    """Share of the eligible cells (rows) of each group whose propensity stands at the floor."""
    floor = getattr(propensity, "clip", None)
    n_groups = len(profile.groups)
    if floor is None:
        return np.zeros(n_groups)
    clipped, total = np.zeros(n_groups), profile.population.sum(axis=1)
    if log.kind in {"candidates", "impressions"}:
        p = row_propensity(propensity, log)
        codes, _ = levels_of(log.column(by))
        outside = ((p <= floor) | (p >= 1.0 - floor)).astype(np.float64)
        return np.asarray(np.bincount(codes, outside, n_groups) / np.maximum(total, 1.0))
    of_user = log.entity_of(by) == "user"
    codes, _ = levels_of((log.users if of_user else log.items)[by])
    # what a part of a split asks for is a share of what was clipped
    floor = floor * (1.0 if log.part is None else log.part.rate) / propensity.sampling_rate_
    for users in blocks(log.n_users, log.n_items):
        low = grid_propensity(propensity, log, users) <= floor * (1.0 + 1e-12)
        allowed = log.eligible_block(users)
        low = low if allowed is None else low & allowed
        counts = low.sum(axis=1 if of_user else 0).astype(np.float64)
        clipped += np.bincount(codes[users] if of_user else codes, counts, n_groups)
    return np.asarray(clipped / np.maximum(total, 1.0))
