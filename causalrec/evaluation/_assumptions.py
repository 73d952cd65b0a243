"""What a weighted number over cells rests on, with the status of each assumption."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from causalrec.evaluation._cells import Coverage
from causalrec.evaluation._imputation import Imputation
from causalrec.results import Assumption, Table

if TYPE_CHECKING:
    from causalrec.evaluation._engine import Weights
    from causalrec.evaluation._setup import Weighting
    from causalrec.graph import Estimand
    from causalrec.nuisances import Support


def missing_at_random(
    estimand: Estimand | None, covariates: Sequence[str], *, forced: str = ""
) -> Assumption:
    """Return what is assumed of the missing outcomes.

    Parameters
    ----------
    estimand : Estimand or None
        What the graph answered; None where no graph was given.
    covariates : sequence of str
        Columns that the propensity depends on.
    forced : str
        The graph's refusal, where it was overridden.
    """
    given = ", ".join(covariates) or "what the propensities were made from"
    if forced:
        return Assumption(
            name="missing at random",
            statement=f"the outcome does not decide whether it is recorded, given {given}",
            status="violated",
            evidence=f"The declared graph refuses this: {forced}",
        )
    source = "no graph was given to this question" if estimand is None else "as the graph says"
    words = "" if estimand is None else f". {estimand.words}"
    statement = f"the outcome does not decide whether it is recorded, given {given} ({source})"
    return Assumption(
        name="missing at random",
        statement=statement + words,
        status="untestable",
        evidence="Compare with a randomised slice, or look at bounds(log, kind='msm').",
    )


def recorded_by_outcome(*, stacked: bool) -> Assumption:
    """Return what is assumed where the propensity is that of an outcome, not of covariates."""
    error = (
        "the error of the outcomes' shares in the randomised sample is in the interval" if stacked
        else "the shares of the outcomes in the randomised sample are taken as known, so that the"
        " interval is too narrow where that sample is small"
    )  # fmt: skip
    return Assumption(
        name="recorded by the outcome alone",
        statement="the outcome decides whether it is recorded, and given the outcome nothing else"
        f" that goes with what is estimated does; {error}",
        status="untestable",
        evidence="Compare with a randomised slice that took no part in the propensities.",
    )


def uniform_slice(rate: float, given: bool) -> Assumption:
    """Return that the slice was drawn at random with a known rate."""
    how = "as declared" if given else "its cells over all eligible cells"
    return Assumption(
        name="randomised slice",
        statement=f"which cells the slice holds was decided at random, each with probability"
        f" {rate:.4g} ({how}); nothing is assumed of the rest of the log",
        status="by design",
    )


def overlap(support: Support | None, coverage: Coverage) -> Assumption:
    """Return what is known of the cells that could not have been recorded."""
    share = coverage.share_unsupported
    if support is None:
        return Assumption(
            name="overlap",
            statement="every eligible cell could have been recorded",
            status="tested" if share == 0 else "violated",
            evidence=f"{share:.2%} of the eligible cells have no support.",
        )
    return Assumption(
        name="overlap",
        statement=f"every cell of the population had a propensity of at least {support.floor:g}",
        status="by design",
        evidence=f"{share:.2%} of the eligible cells fall below it and are not spoken of.",
    )


def propensity_model(weights: Weighting, estimator: str) -> Assumption:
    """Return what is assumed of the propensities, and how the interval takes them."""
    propensity = weights.propensity
    verb = "recorded" if propensity.of_ == "observed" else "shown"
    taken = "The interval takes them as known."
    if propensity.rating_slice is not None:
        taken = "The interval has the error of the slice that they were learned from."
    if estimator == "dr":
        taken = f"Not needed where the outcome model is right. {taken}"
    if weights.missing:
        taken = (
            f"The graph also asks for {', '.join(weights.missing)}, which they do not use. {taken}"
        )
    return Assumption(
        name="right propensities",
        statement=f"the probabilities of being {verb} are right. {' '.join(propensity.notes_)}",
        status="violated" if weights.missing else "untestable",
        evidence=taken,
    )


def outcome_model(
    imputation: Imputation, estimator: str, *, known_rate: bool = False
) -> Assumption:
    """Return what is assumed of the outcome model."""
    if known_rate:
        evidence = "Not needed for unbiasedness: the rate of the slice is known."
    elif estimator == "dr":
        evidence = "Not needed where the propensities are right."
    else:
        evidence = (
            "Needed. The interval takes it as known, so it is too short by the model's error."
        )
    return Assumption(
        name="right outcome model",
        statement=f"{imputation.words}; {imputation.law.words}",
        status="untestable",
        evidence=evidence,
    )


def speaks_of(sampled: Sequence[str]) -> Assumption:
    """Return what the interval treats as drawn at random."""
    words = {
        ("user", "item"): "new users and new items like these (two-way clustered)",
        ("user",): "new users of this catalogue (clustered by user)",
        ("item",): "new items for these users (clustered by item)",
        (): "these very cells: only which of them were recorded is random",
    }
    return Assumption(
        name="what was sampled",
        statement=f"the interval is for {words.get(tuple(sampled), ' and '.join(sampled))}",
        status="by design",
    )


def weights_table(
    weights: dict[tuple[str, str], Weights], coverage: Coverage, estimators: Sequence[str]
) -> Table:
    """Return cells, effective sample size and extremes of the weights by estimator and group."""
    lines = []
    for (estimator, group), found in weights.items():
        if estimator not in estimators:
            continue
        mean = found.total / found.n if found.n else 0.0
        lines.append(
            (
                estimator,
                group or "all",
                found.n,
                found.effective,
                found.largest / mean if mean else 0.0,
                coverage.share_clipped,
            )
        )
    return Table(
        name="weights",
        title="Weights",
        columns=(
            "estimator",
            "group",
            "cells",
            "effective sample size",
            "largest weight over mean",
            "share clipped",
        ),
        rows=tuple(lines),
        caption=f"{coverage.share_unsupported:.2%} of the eligible cells lack support.",
    )


def coverage_notes(coverage: Coverage, support: Support | None, clip: float | None) -> list[str]:
    """Return what was left out or clipped, counted."""
    notes = []
    if coverage.members < coverage.eligible:
        left = coverage.eligible - coverage.members
        notes.append(
            f"{left:,} of {coverage.eligible:,} eligible cells ({coverage.share_unsupported:.1%})"
            " are outside the population."
        )
    if support is not None:
        notes.append(
            f"Support was decided once, at a floor of {support.floor:g} (fingerprint"
            f" {support.hash[:12]}): numbers with the same fingerprint speak of the same cells."
        )
    if clip is not None:
        notes.append(
            f"Propensities below {clip:g} were raised to it in {coverage.share_clipped:.2%} of the"
            " recorded cells, which biases the result towards what is often recorded."
        )
    return notes
