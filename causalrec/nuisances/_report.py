"""The diagnostics of a propensity as a result, with its answer in a sentence."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Literal

from causalrec.errors import PropensityWarning
from causalrec.nuisances._balance import BalanceLine, balance, balance_table
from causalrec.nuisances._base import Propensity
from causalrec.nuisances._diagnostics import (
    calibration_table,
    inverse_sum_and_error,
    overlap_table,
    support_table,
    weight_table,
    words_for,
)
from causalrec.nuisances._groups import group_table
from causalrec.nuisances._known import KnownPropensity
from causalrec.nuisances._profile import profile_propensity
from causalrec.nuisances._support import Support, support
from causalrec.results import Assumption, Result, Table, provenance

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

PLAUSIBLE_SUM = (0.8, 1.25)
"""sum(1/p)/cells outside it is flagged."""
BEYOND_CHANCE = 3.0
"""By how many Monte Carlo errors it has to be off one for a warning."""


def propensity_assumptions(
    propensity: Propensity, log: InteractionLog, floor: float = 1e-3
) -> tuple[Assumption, ...]:
    """Return what a weighted number assumes of its propensities, tested: overlap and balance.

    Parameters
    ----------
    propensity : Propensity
    log : InteractionLog
    floor : float
        As in `support`.
    """
    supported = support(propensity, log, floor)
    lines = balance(propensity, log, supported)
    return _assumptions(supported, lines, inverse_sum_and_error(propensity, log, supported))


def warn_of_inverse_sum(propensity: Propensity, log: InteractionLog, supported: Support) -> None:
    """Warn where the weights of a fitted propensity do not add up to the cells, beyond chance.

    Parameters
    ----------
    propensity : Propensity
        Known ones are not judged: what was logged is what was done.
    log : InteractionLog
    supported : Support

    Warns
    -----
    PropensityWarning
    """
    if isinstance(propensity, KnownPropensity) or propensity.depends_on_outcome:
        return
    total = inverse_sum_and_error(propensity, log, supported)
    if _implausible(*total):
        warnings.warn(_far_from_one(*total), PropensityWarning, stacklevel=4)


def propensity_result(
    propensity: Propensity, log: InteractionLog, by: str | None = None, floor: float = 1e-3
) -> Result:
    """Return overlap, balance, calibration, weights and support as a result.

    Warns
    -----
    PropensityWarning
        If weighting leaves features unbalanced, overall or within groups, or sum(1/p)/cells is far
        from one.
    """
    supported = support(propensity, log, floor)
    total = inverse_sum_and_error(propensity, log, supported)
    lines = balance(propensity, log, supported)
    grouped = profile_propensity(propensity, log, by)
    everybody = grouped.everybody()
    tables = [
        overlap_table(propensity, log, profile=everybody),
        balance_table(lines),
        calibration_table(propensity, log, by, profile=grouped),
        weight_table(propensity, log, by, profile=grouped),
        support_table(supported, by),
        _clip_table(propensity),
    ]
    if by is not None:
        tables.insert(0, group_table(propensity, log, by, supported, lines, grouped))
    off = [line for line in lines if line.unbalanced]
    if off:
        warnings.warn(_unbalanced(off), PropensityWarning, stacklevel=3)
    if _implausible(*total):
        warnings.warn(_far_from_one(*total), PropensityWarning, stacklevel=3)
    weights = weight_table(propensity, log, profile=everybody)
    answer = _answer(propensity, log, supported, lines, weights, total[0])
    found = Result(
        kind="propensity",
        title=f"The propensity of being {propensity.of_}"
        if propensity.of_ == "observed"
        else "The propensity of exposure",
        question="Do the propensities repair the selection that their covariates describe?",
        answer=answer,
        tables=tuple(tables),
        assumptions=_assumptions(supported, lines, total),
        notes=propensity.notes_,
        provenance=provenance(log, None, {"floor": floor, "by": by}),
    )
    return found.with_internals(propensity=propensity, support=supported)


def _clip_table(propensity: Propensity) -> Table:
    return Table(
        name="clipping",
        title="Clipping, where it was asked for",
        columns=("share clipped", "covariates", "sampling rate"),
        rows=(
            (
                propensity.share_clipped_,
                ", ".join(propensity.covariates_) or "none",
                propensity.sampling_rate_,
            ),
        ),
    )


def _answer(
    propensity: Propensity,
    log: InteractionLog,
    supported: Support,
    lines: tuple[BalanceLine, ...],
    weights: Table,
    total: float,
) -> str:
    # within small groups the largest of hundreds of differences is noise: `unbalanced` judges those
    overall = [line for line in lines if line.group == "all"]
    before = max((abs(line.before) for line in overall), default=0.0)
    after = max((abs(line.after) for line in overall), default=0.0)
    off = sum(line.unbalanced for line in lines)
    verdict = (
        f"leave {off} of {len(lines)} standardised differences unbalanced"
        if off
        else f"balance all {len(lines)} features overall and within groups"
        if lines
        else "cannot be checked for balance, because users and items have no features"
    )
    population, event = words_for(propensity, log)
    ess, happened = weights.rows[0][4], weights.rows[0][2]
    return (
        f"The propensities {verdict} (largest overall {after:.2f}, {before:.2f} before weighting);"
        f" sum(1/p)/cells is {total:.2f} (1 is right), the effective sample size {ess:,.0f} of"
        f" {happened:,} {event}, and {supported.share_unsupported:.1%} of the {population} are"
        " unsupported."
    )


def _assumptions(
    supported: Support, lines: tuple[BalanceLine, ...], total: tuple[float, float]
) -> tuple[Assumption, ...]:
    off = [line for line in lines if line.unbalanced]
    status: Literal["tested", "violated", "untestable"] = "violated" if off else "tested"
    if not lines:
        status = "untestable"
    largest = max((abs(line.after) for line in lines), default=float("nan"))
    plausible = PLAUSIBLE_SUM[0] <= total[0] <= PLAUSIBLE_SUM[1]
    return (
        Assumption(
            name="overlap",
            statement=f"Every {supported.unit[:-1]} of the population has a propensity of at least"
            f" {supported.floor:g}.",
            status="tested" if supported.share_unsupported == 0 else "violated",
            evidence=f"{supported.share_unsupported:.1%} of {supported.n_eligible:,} eligible"
            f" {supported.unit} do not; numbers speak of the others.",
        ),
        Assumption(
            name="balance",
            statement="Weighted by 1/p, what happened looks like all eligible cells in every known"
            " feature, overall and within groups.",
            status=status,
            evidence=_unbalanced(off)
            if off
            else f"largest standardised difference {largest:.2f} in {len(lines)} comparisons,"
            " none beyond what chance leaves"
            if lines
            else "users and items have no features to compare",
        ),
        Assumption(
            name="calibration",
            statement="The inverse propensities of what happened add up to the number of cells.",
            status="tested" if plausible else "violated",
            evidence=_far_from_one(*total)
            if _implausible(*total)
            else f"sum(1/p)/cells = {total[0]:.3f} (Monte Carlo error {total[1]:.3f})",
        ),
    )


def _implausible(total: float, error: float) -> bool:
    """Return whether the sum is further from one than a fit, and than chance, would leave it."""
    inside = PLAUSIBLE_SUM[0] <= total <= PLAUSIBLE_SUM[1]
    return not inside and abs(total - 1.0) > BEYOND_CHANCE * error


def _far_from_one(total: float, error: float) -> str:
    why = (
        "the model has seen what it predicts (a flexible one memorises what happened):"
        " weights are too even, and what they were to repair stays. Predict users by models that"
        " have not seen them (method='boosting', causalrec.nuisances.cross_fit), restrain the model"
        " (more cells a leaf), or use method='logistic'"
        if total < 1.0
        else "propensities of what happened are too small: some of it happens where the model says"
        " it hardly does. Add covariates, calibrate (calibration=), or clip where that is meant"
    )
    return f"sum(1/p)/cells is {total:.2f}, and 1 is right (Monte Carlo error {error:.2f}): {why}."


def _unbalanced(off: list[BalanceLine]) -> str:
    worst = sorted(off, key=lambda line: (-abs(line.after), line.group, line.feature))[:3]
    named = ", ".join(
        f"{line.feature}{'' if line.group == 'all' else ' within ' + line.group}"
        f" ({line.after:+.2f}; {line.before:+.2f} before)"
        for line in worst
    )
    count = len(off)
    return (
        f"Weighting by 1/p leaves {count} standardised difference{'s' if count != 1 else ''}"
        f" unbalanced: {named}. The propensity does not describe the selection there, and what"
        " depends on it is not repaired: adjust for these columns and their crosses."
    )
