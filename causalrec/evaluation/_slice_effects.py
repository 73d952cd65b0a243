"""Planned experiments that encourage exposure, or exchange two positions, from the log at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from causalrec.errors import DataError, StudyError
from causalrec.evaluation._recommenders import FloatArray
from causalrec.inference import Estimate
from causalrec.scores import Score

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

STRONG = 4.0
"""Standard errors that the pull of an arm on exposure is to be away from zero."""


def encouragement(
    log: InteractionLog, share: float, sampled: Sequence[str]
) -> tuple[FloatArray, FloatArray, str]:
    """Return each row's part of the effect of exposure by an arm, its weight, and words.

    Parameters
    ----------
    log : InteractionLog
        Candidates with two arms, the pilot.
    share : float
        Of the units to encourage.
    sampled : sequence of str

    Notes
    -----
    The effect b is Cov(arm, Y) / Cov(arm, A); at a row it has the influence of the difference
    between arms in Y - b A, over the pull on exposure (Wald 1940).
    """
    log.require_fields("arm", purpose="planning an encouragement: it needs a pilot of two arms")
    names, code = np.unique(np.asarray(log.arm).astype(str), return_inverse=True)
    if len(names) != 2:
        raise StudyError(f"An encouragement has two arms; this log has {names.tolist()[:5]}.")
    arm = code.ravel().astype(np.float64)
    exposed = np.asarray(log.exposure, dtype=np.float64)
    y = np.asarray(log.outcome, dtype=np.float64)
    inside = np.column_stack([arm, 1.0 - arm])
    codes = {"user": log.user_codes, "item": log.item_codes}
    pull = Estimate.from_score(
        Score(exposed[:, None] * inside, inside),
        {name: codes[name] for name in sampled},
        ["1", "0"],
    ).difference("1", "0")
    strength = float(pull)
    if not abs(strength) > STRONG * float(pull.standard_error[0]):
        raise StudyError(
            f"The arms expose {strength:.3g} apart (standard error"
            f" {float(pull.standard_error[0]):.2g}): too weak a pilot to plan from. Encourage more"
            " strongly, or draw exposure itself (question='effect')."
        )
    if strength < 0:
        arm, strength = 1.0 - arm, -strength
    means = [(float(arm @ x) / arm.sum(), float((1 - arm) @ x) / (1 - arm).sum()) for x in
             (y, exposed)]  # fmt: skip
    effect = (means[0][0] - means[0][1]) / strength
    rest = y - effect * exposed
    rest = rest - float(arm @ rest) / arm.sum()
    value = (arm / share - (1.0 - arm) / (1.0 - share)) * rest / strength
    weight = arm * share / arm.mean() + (1.0 - arm) * (1.0 - share) / (1.0 - arm.mean())
    return value, weight, f"the effect of exposure on {log.columns.outcome} by encouragement"


def exchange(log: InteractionLog, positions: tuple[int, int]) -> tuple[FloatArray, FloatArray, str]:
    """Return each row's part of the difference between two positions, its weight, and words.

    A coin makes position and item independent; the log does not. So each item's rows at either
    position are weighted to all its rows at both; items at one of them only, and rows at other
    positions, have weight 0.

    Parameters
    ----------
    log : InteractionLog
        Impressions with positions.
    positions : (int, int)

    Raises
    ------
    DataError
        If no item stood at both.
    """
    log.require_fields("position", purpose="planning an exchange of two positions")
    y, at = np.asarray(log.outcome, dtype=np.float64), np.asarray(log.position)
    here = np.stack([at == position for position in positions])
    counts = np.stack([np.bincount(log.item_codes[rows], minlength=log.n_items) for rows in here])
    both = np.all(counts > 0, axis=0)
    if not both.any():
        raise DataError(
            f"No item stands at position {positions[0]} and at {positions[1]} in this log: nothing"
            f" tells what an exchange does. The positions are {np.unique(at).tolist()[:5]}."
        )
    value, weight = np.zeros(len(y)), np.zeros(len(y))
    for rows, own, sign in zip(here, counts, (1.0, -1.0), strict=True):
        used = rows & both[log.item_codes]
        code = log.item_codes[used]
        weight[used] = counts.sum(axis=0)[code] / own[code]
        value[used] = sign * 2.0 * (y[used] - np.average(y[used], weights=weight[used]))
    first, second = positions
    return value, weight, f"the {log.columns.outcome} at position {first} minus that at {second}"


def cost_of_exchange(
    log: InteractionLog,
    positions: tuple[int, int],
    sampled: Sequence[str],
    level: float,
    label: str,
) -> Estimate:
    """Return what one row of slates that a coin exchanges loses.

    Half of the slates show the item of position a at b and that of b at a. With examination rho at
    b over that at a, by harvesting, a slate loses (1 - rho) (click_a - click_b / rho) / 2.

    Parameters
    ----------
    log : InteractionLog
    positions : (int, int)
    sampled : sequence of str
    level : float
    label : str

    Raises
    ------
    DataError
        If no item stood before one user at several positions.
    """
    from causalrec.nuisances import ExaminationModel

    model = ExaminationModel().fit(log, sampled=sampled, level=level)
    y, at = np.asarray(log.outcome, dtype=np.float64), np.asarray(log.position)
    inside = np.column_stack([at == position for position in positions]).astype(np.float64)
    codes = {"user": log.user_codes, "item": log.item_codes}
    clicks = Estimate.from_score(
        Score(y[:, None] * inside, inside),
        {name: codes[name] for name in sampled},
        ["first", "second"],
        level=level,
    )
    first, second = clicks.value.tolist()
    theta = model.predict(list(positions))
    rho = float(theta[1] / theta[0])
    joint = Estimate.stack([clicks, model.estimate_])
    slopes = np.zeros(len(joint))
    slopes[:2] = (1.0 - rho) / 4.0, -(1.0 - rho) / rho / 4.0
    for position, sign in zip(positions, (-1.0, 1.0), strict=True):
        name = f"log theta {position}"
        if name in joint.labels:
            slopes[joint.labels.index(name)] = sign * (second / rho - rho * first) / 4.0
    linear = joint.contrast(slopes[None, :], labels=[label])
    return linear.shift(np.array([(1.0 - rho) * (first - second / rho) / 4.0 - float(linear)]))
