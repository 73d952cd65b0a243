"""What a randomised slice would be asked, as a value of each row of the log that is held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from causalrec.errors import DataError, StudyError, near_miss
from causalrec.evaluation._recommenders import FloatArray, contenders
from causalrec.evaluation._setup import parts_of, propensity_of_selected
from causalrec.evaluation._slice_cost import LABEL, cost_of
from causalrec.evaluation._slice_effects import cost_of_exchange, encouragement, exchange
from causalrec.evaluation.metrics import parse_metrics

if TYPE_CHECKING:
    from causalrec.inference import Estimate
    from causalrec.interactions import InteractionLog

Codes = npt.NDArray[np.int64]
QUESTIONS = ("mean", "gap", "difference", "effect", "encouragement", "position")


@dataclass(frozen=True, eq=False)
class RowsAsked:
    """Rows of a log, weighted to look like those of a slice, with what the slice is asked.

    Attributes
    ----------
    value : float64 (n,)
        Each row's part: the answer is the weighted mean, but for a constant.
    weight : float64 (n,)
    users, items : int64 (n,)
    outcome : float64 (n,)
    words : str
        What the slice estimates.
    unit : str
        What is drawn at random.
    shares : pair of floats, or None
        Of a gap, the shares of the two groups.
    side : str
        "user" or "item": whose groups.
    cost : Estimate or None
        Of one row; None where the log has no policy to compare with.
    notes : tuple of str
    """

    value: FloatArray
    weight: FloatArray
    users: Codes
    items: Codes
    outcome: FloatArray
    words: str
    unit: str
    shares: tuple[float, float] | None = None
    side: str = "user"
    cost: Estimate | None = None
    notes: tuple[str, ...] = ()

    @property
    def drawn(self) -> bool:
        """Whether the rows were themselves drawn at random."""
        return bool((self.weight == self.weight[0]).all())

    @property
    def balance(self) -> tuple[float, float]:
        """Effective clusters over clusters, of users and of items (see `effective_clusters`)."""
        if self.shares is None:
            return 1.0, 1.0
        first, second = 1.0 / self.shares[0], 1.0 / self.shares[1]
        share = (first + second) ** 2 / (first**3 + second**3)
        return (share, 1.0) if self.side == "user" else (1.0, share)


@dataclass(frozen=True, eq=False)
class Asked:
    """The options of `plan_randomization` that say what is asked."""

    question: str
    by: str | None
    groups: Sequence[Any] | None
    models: Any
    metric: str
    propensity: Any
    exposure_share: float
    positions: tuple[int, int] | None
    sampled: tuple[str, ...]
    level: float

    def check(self, log: InteractionLog) -> None:
        """Refuse what means nothing."""
        if self.question not in QUESTIONS:
            raise StudyError(
                f"There is no question {self.question!r} to plan for."
                f"{near_miss(self.question, QUESTIONS)} They are: {', '.join(QUESTIONS)}."
            )
        if (self.question == "gap") != (self.by is not None):
            raise StudyError(
                "question='gap' compares two groups of a column: by=COLUMN."
                if self.by is None
                else f"by={self.by!r} is for question='gap': leave it out, or ask for the gap."
            )
        if (self.question == "difference") != (self.models is not None):
            raise StudyError(
                "question='difference' compares two models: models={name: model, name: model}."
                if self.models is None
                else "models= is for question='difference': leave it out, or ask for that."
            )
        if self.question in {"effect", "encouragement"} and log.kind != "candidates":
            raise StudyError(
                f"An effect of exposure needs candidates, shown and not; this log is {log.kind}."
            )
        if self.question == "position" and log.kind != "impressions":
            raise StudyError(f"Positions are those of impressions; this log is {log.kind}.")
        if (self.question == "position") != (self.positions is not None):
            raise StudyError(
                "question='position' exchanges two places by a coin: positions=(1, 2)."
                if self.positions is None
                else "positions= is for question='position': leave it out, or ask for that."
            )
        if not 0.0 < self.exposure_share < 1.0:
            raise StudyError(f"exposure_share={self.exposure_share!r} must lie in (0, 1).")


def rows_asked(log: InteractionLog, asked: Asked) -> RowsAsked:
    """Weight the rows of a log to a random design, and give each its part of the question.

    Parameters
    ----------
    log : InteractionLog
    asked : Asked
    """
    from causalrec.nuisances import resolve_propensity, row_propensity

    asked.check(log)
    if asked.question in {"encouragement", "position"}:
        return _experiment(log, asked)
    parts = parts_of(log)
    selected, notes = parts.selected, tuple[str, ...]()
    if selected is None:  # all of it was drawn at random: it is its own pilot
        used, weight = log, np.ones(log.n_rows)
    else:
        given = propensity_of_selected(asked.propensity, parts)
        propensity = resolve_propensity(given, selected)
        used, notes = selected, propensity.notes_
        weight = _weight(selected, row_propensity(propensity, selected), asked.exposure_share)
    exposed = None
    if used.kind == "candidates":
        exposed = np.asarray(used.exposure, dtype=np.float64)
    outcome = np.asarray(used.outcome, dtype=np.float64)
    value, words = _value(used, asked, outcome, weight, exposed)
    shares, side = None, "user"
    if asked.by is not None:
        value, shares, words = _gap(used, asked, value, weight, words)
        side = used.entity_of(asked.by)
    users, items = used.user_codes.astype(np.int64), used.item_codes.astype(np.int64)
    codes = {"user": users, "item": items}
    cost = cost_of(outcome, weight, {name: codes[name] for name in asked.sampled}, asked.level)
    return RowsAsked(
        value=value,
        weight=weight,
        users=users,
        items=items,
        outcome=outcome,
        words=words,
        unit="cells" if used.kind == "ratings" else "rows",
        shares=shares,
        side=side,
        cost=None if selected is None else cost,
        notes=notes,
    )


def _experiment(log: InteractionLog, asked: Asked) -> RowsAsked:
    """Give each row its part of an effect by encouragement or by an exchange of positions."""
    share, cost, notes = asked.exposure_share, None, tuple[str, ...]()
    kept = np.ones(log.n_rows, dtype=bool)
    outcome = np.asarray(log.outcome, dtype=np.float64)
    codes = {"user": log.user_codes.astype(np.int64), "item": log.item_codes.astype(np.int64)}
    if asked.positions is None:
        value, weight, words = encouragement(log, share, asked.sampled)
        clusters = {name: codes[name] for name in asked.sampled}
        cost = cost_of(outcome, weight, clusters, asked.level)
        notes = ("The pilot's arms are taken to pull as strongly in the experiment.",)
    else:
        share = 0.5
        value, weight, words = exchange(log, asked.positions)
        kept = weight > 0
        try:
            cost = cost_of_exchange(log, asked.positions, asked.sampled, asked.level, LABEL)
        except DataError as why:
            notes = (f"What an exchange costs is not known here. {why}",)
    return RowsAsked(
        value[kept], weight[kept], codes["user"][kept], codes["item"][kept], outcome[kept], words,
        "rows", (share, 1.0 - share), "user", cost, notes,
    )  # fmt: skip


def _weight(log: InteractionLog, p: FloatArray, share: float) -> FloatArray:
    """Return the chance of each row under a random design, over its chance in the log."""
    if log.kind != "candidates":
        return np.asarray(1.0 / p)
    exposed = np.asarray(log.exposure) == 1
    return np.asarray(np.where(exposed, share / p, (1.0 - share) / (1.0 - p)))


def _value(
    log: InteractionLog,
    asked: Asked,
    outcome: FloatArray,
    weight: FloatArray,
    exposed: FloatArray | None,
) -> tuple[FloatArray, str]:
    named = log.columns.outcome
    if asked.question == "difference":
        return _difference(log, asked, outcome)
    if exposed is not None and asked.question in {"effect", "gap"}:
        share = asked.exposure_share
        mean = [float(weight[arm] @ outcome[arm] / weight[arm].sum()) for arm in
                (exposed == 0, exposed == 1)]  # fmt: skip
        value = exposed * (outcome - mean[1]) / share
        value = value - (1.0 - exposed) * (outcome - mean[0]) / (1.0 - share)
        return value + mean[1] - mean[0], f"the effect of exposure on {named}"
    return outcome, f"the mean {named}"


def _difference(log: InteractionLog, asked: Asked, outcome: FloatArray) -> tuple[FloatArray, str]:
    """Return the loss of the first model minus that of the second, row by row."""
    pair = contenders(asked.models)
    (metric,) = parse_metrics(asked.metric)
    if len(pair) != 2:
        raise StudyError(f"models= takes two models to compare; got {len(pair)}.")
    if metric.scope != "cell" or metric.form != "sum":
        raise StudyError(
            f"A slice is planned for a mean of losses over cells: 'mse', 'mae' or 'log-loss', not"
            f" {asked.metric!r}, which needs whole lists."
        )
    first, second = (
        metric.loss(outcome, one.predict(log, log.user_codes, log.item_codes)) for one in pair
    )
    return first - second, f"the {metric.label} of {pair[0].name} minus that of {pair[1].name}"


def _gap(
    log: InteractionLog, asked: Asked, value: FloatArray, weight: FloatArray, words: str
) -> tuple[FloatArray, tuple[float, float], str]:
    """Return each row's part of the difference between the means of two groups."""
    assert asked.by is not None
    level = log.column(asked.by).astype(str).to_numpy()
    names = [str(name) for name in asked.groups] if asked.groups is not None else None
    if names is None:
        found, counts = np.unique(level, return_counts=True)
        names = sorted(found[np.argsort(-counts, kind="stable")][:2].tolist())
    if len(names) != 2 or not set(names) <= set(level):
        raise StudyError(
            f"groups={names} must be two of the levels of {asked.by!r}: {sorted(set(level))[:5]}."
        )
    whole = float(weight.sum())
    part = np.zeros_like(value)
    shares = []
    for name, sign in zip(names, (1.0, -1.0), strict=True):
        inside = level == name
        share = float(weight[inside].sum()) / whole
        mean = float(weight[inside] @ value[inside]) / (share * whole)
        part[inside] = sign * (value[inside] - mean) / share
        shares.append(share)
    said = f"the gap in {words.removeprefix('the ')} between {asked.by} {names[0]} and {names[1]}"
    return part, (shares[0], shares[1]), said
