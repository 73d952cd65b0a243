"""What a policy value rests on: overlap and drift tested, the rest said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from causalrec.evaluation._policies import TargetPolicy
from causalrec.evaluation._policy_adaptive import Clock, drift
from causalrec.evaluation._policy_estimators import RECIPES, Replay, parts_of, weights_of
from causalrec.evaluation._slate_models import STATEMENTS
from causalrec.inference import Estimate
from causalrec.results import Assumption

if TYPE_CHECKING:
    from causalrec.evaluation._policy_bernstein import Range
    from causalrec.evaluation._policy_options import PolicyOptions
    from causalrec.interactions import InteractionLog

VERDICT_LEVEL = 0.99
"""Level of the tests: a report holds several, and at 95 % one in twenty fails by chance."""


def never_logged_mass(log: InteractionLog, target: TargetPolicy) -> float | None:
    """Return the target policy's mass on items that the log never shows; None if not known."""
    if target.of_all is None:
        return None
    absent = np.bincount(log.item_codes, minlength=log.n_items) == 0
    if not absent.any():
        return 0.0
    return float(target.of_all[:, absent].sum(axis=1).mean())


UNCHANGED = ("regression", "dr", "sndr")
"""Estimators that leave weights as they are, or lean on the model in all they say."""


def assumptions_of(
    log: InteractionLog,
    replay: Replay,
    target: TargetPolicy,
    options: PolicyOptions,
    mean_weight: Estimate,
    clock: Clock | None,
    allowed: Range | None,
    level: float,
) -> tuple[Assumption, ...]:
    """Return what the value rests on, overlap tested by the mean weight."""
    found = [
        Assumption(
            name="known logging propensities",
            statement=f"column {log.columns.logging_propensity!r} holds the probabilities with"
            " which the logging policy chose",
            status="by design",
        ),
        _overlap(log, mean_weight, target, options, level),
    ]
    if target.assumption:
        found.append(
            Assumption(
                name="reconstructed policy", statement=target.assumption, status="untestable"
            )
        )
    found += _of_time(log, replay, target, options, clock, level)
    found += _of_lists(log, options)
    if "regression" in options.names:
        found.append(
            Assumption(
                name="right reward model",
                statement="the regression estimate has no weights: it is right only where the"
                " reward model is; the others do not need that",
                status="untestable",
            )
        )
    changed = [n for n in options.names if RECIPES[n].uses_model and n not in UNCHANGED]
    if changed:
        found.append(
            Assumption(
                name="right reward model where weights are changed",
                statement=f"{' and '.join(changed)} give weights up for the reward model: where"
                " they do, the value is as right as that model",
                status="untestable",
                evidence="Not needed where no weight is changed; compare with dr.",
            )
        )
    if allowed is not None:
        found.append(
            Assumption(
                name="known range",
                statement=f"the empirical Bernstein bound takes that {allowed.words}",
                status="by design" if allowed.known else "untestable",
            )
        )
    return tuple(found)


def _of_lists(log: InteractionLog, options: PolicyOptions) -> list[Assumption]:
    """Return what is taken of the rest of a list."""
    if options.slate_model is not None:
        return [
            Assumption(
                name="dependence within a list",
                statement=STATEMENTS[options.slate_model],
                status="by design" if options.slate_model == "standard" else "untestable",
            )
        ]
    if log.slate is None and log.position is None:
        return []
    return [
        Assumption(
            name="no interference within a list",
            statement="the outcome of a place depends on its own item only (item-position"
            " model), so places are weighted one by one",
            status="untestable",
        )
    ]


def _of_time(
    log: InteractionLog,
    replay: Replay,
    target: TargetPolicy,
    options: PolicyOptions,
    clock: Clock | None,
    level: float,
) -> list[Assumption]:
    """Return what is taken of the logging policy over time."""
    if clock is None:
        uniform = log.randomized is not None and bool(log.randomized.all())
        return [
            Assumption(
                name="no adaptive logging",
                statement="the logging policy did not change with the outcomes of this log; where"
                " it learned from them, the logged propensities still remove the bias, but the"
                " interval treats the draws as independent between clusters: ask adaptive=True",
                status="by design" if uniform else "untestable",
            )
        ]
    found = _drift(replay, target, options, clock, level)
    repeated = len(np.unique(log.user_codes)) < log.n_rows
    return [
        Assumption(
            name="adaptive logging",
            statement="the logging policy learned from earlier outcomes of this log; rows are"
            f" taken in time order ({clock.words}) and weighted by what their past foretells of"
            " their variance",
            status="by design",
        ),
        found,
        Assumption(
            name="draws follow one another freely",
            statement="given the past, contexts and tastes are new draws at each time"
            + ("; users of this log come back, which this ignores" if repeated else ""),
            status="untestable",
        ),
    ]


def _drift(
    replay: Replay, target: TargetPolicy, options: PolicyOptions, clock: Clock, level: float
) -> Assumption:
    """Compare the halves of an adaptive log."""
    name = options.names[0]
    parameter = _plain(options, name)
    (part,) = parts_of(replay, name, parameter)
    assert replay.time_weight is not None
    weight = weights_of(replay, name, parameter) * replay.time_weight
    wide = max(level, VERDICT_LEVEL)
    found = drift(part, weight, clock, options.clusters, options.sampled, wide)
    evidence = "The policy's items were shown too seldom in one half of the log to compare it."
    moved = False
    if found is not None:
        gap, lower, upper = found
        moved = not lower <= 0.0 <= upper
        evidence = f"Later less earlier half: {gap:+.4g} [{lower:.4g}, {upper:.4g}] at {wide:.0%}."
    return Assumption(
        name="no drift",
        statement=f"the value of {target.words} does not change over the log, since rows of"
        " different times have different weights",
        status="violated" if moved else "untestable" if found is None else "tested",
        evidence=evidence,
    )


def _plain(options: PolicyOptions, name: str) -> float | None:
    asked = options.parameter_of(name)
    return None if isinstance(asked, str) else asked


def _overlap(
    log: InteractionLog,
    mean: Estimate,
    target: TargetPolicy,
    options: PolicyOptions,
    level: float,
) -> Assumption:
    """Test the mean weight against one, and look for items that the log never shows."""
    lower, upper = mean.interval(level)[0]
    missing = never_logged_mass(log, target)
    evidence = f"The mean weight is {float(mean):.3f} [{lower:.3f}, {upper:.3f}]."
    if missing:
        evidence += f" {missing:.2%} of the policy's mass is on items that the log never shows."
    if options.slate_model in {"cascade", "standard"}:
        evidence += " A mean other than 1 may also say that the propensities are not of the item"
        evidence += " given those above it."
    least, most = mean.interval(max(level, VERDICT_LEVEL))[0]
    off = bool(np.isfinite(most) and not least <= 1.0 <= most)
    if least > 1.0:
        evidence += " It is above 1, which no policy explains: the logged propensities are too low."
    return Assumption(
        name="overlap",
        statement=f"the logging policy of these {log.n_rows:,} rows can show whatever"
        f" {target.words} shows; then the mean weight is 1",
        status="violated" if off else "tested",
        evidence=evidence,
    )


def beyond_support(assumptions: Sequence[Assumption], mean_weight: Estimate) -> str:
    """Return a sentence on the policy's mass without support, where there is some beyond chance."""
    missing = 1.0 - float(mean_weight)
    violated = any(a.name == "overlap" and a.status == "violated" for a in assumptions)
    if not violated or missing <= 0.0:
        return ""
    return (
        f" About {missing:.0%} of what the policy would show is never shown where it would show"
        " it: the log does not speak for that part."
    )
