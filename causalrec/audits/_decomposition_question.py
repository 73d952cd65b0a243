"""What a decomposition is asked, read and checked: the two groups, their rows, their clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from causalrec.audits._attributes import Attribute, read_attribute
from causalrec.audits._group_means import dimensions_of
from causalrec.errors import DataError, StudyError, near_miss

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog

Codes = npt.NDArray[np.int64]
Method = Literal["exposure", "standard_fairness"]
METHODS: tuple[Method, ...] = ("exposure", "standard_fairness")
EFFECTS = ("natural", "interventional")
SAMPLED = {("user", "item"), ("user",)}


@dataclass(frozen=True, eq=False)
class GapQuestion:
    """The options of `decompose_gap`, checked, and the two groups.

    Attributes
    ----------
    log : InteractionLog
        Of the rows of the two groups.
    whole : InteractionLog
        As it was given.
    attribute : Attribute
    first, second : str
        The groups a and b: the gap is a minus b.
    side : int64 (log.n_rows,)
        0 in the first group, 1 in the second.
    """

    log: InteractionLog
    whole: InteractionLog
    graph: CausalGraph
    attribute: Attribute
    first: str
    second: str
    side: Codes
    method: Method
    effect: Literal["natural", "interventional"]
    allowed_mediators: tuple[str, ...] | None
    outcome_model: Any
    propensity: Any
    sampled: tuple[str, ...]
    min_cell: int
    floor: float
    n_folds: int
    n_repeats: int
    level: float
    random_state: int | None

    @property
    def by(self) -> str:
        """The column of the groups."""
        return self.attribute.column

    @property
    def names(self) -> tuple[str, str]:
        """The groups as rows of a result call them."""
        return f"{self.by}={self.first}", f"{self.by}={self.second}"

    @property
    def hidden(self) -> bool:
        """Whether one of the groups is too small to be shown, or would give another away."""
        return bool({self.first, self.second} & self.attribute.hidden)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """What the intervals are clustered by."""
        return dimensions_of(self.attribute, self.sampled)

    @property
    def clusters(self) -> dict[str, npt.NDArray[Any]]:
        """Codes of each dimension, a row each."""
        return {name: _codes(self.log, name) for name in self.dimensions}

    @property
    def subjects(self) -> npt.NDArray[Any]:
        """Who bears the attribute, a row each: folds are dealt among them."""
        if self.attribute.entity == "user":
            return _codes(self.log, "user")
        return _codes(self.log, "provider" if self.attribute.by_provider else "item")

    @property
    def config(self) -> dict[str, Any]:
        """The choices, as plain JSON types."""
        allowed = self.allowed_mediators
        return {
            "by": self.by,
            "groups": [self.first, self.second],
            "method": self.method,
            "effect": self.effect if self.method != "exposure" else None,
            "allowed_mediators": None if allowed is None else list(allowed),
            "sampled": list(self.sampled),
            "min_cell": self.min_cell,
            "floor": self.floor,
            "n_folds": self.n_folds,
            "n_repeats": self.n_repeats,
            "level": self.level,
        }

    def seeds(self) -> list[int]:
        """Return a seed for each repeat."""
        children = np.random.SeedSequence(self.random_state).spawn(self.n_repeats)
        return [int(child.generate_state(1)[0]) for child in children]


def _codes(log: InteractionLog, name: str) -> npt.NDArray[Any]:
    if name == "user":
        return np.asarray(log.user_codes)
    if name == "item":
        return np.asarray(log.item_codes)
    assert log.provider is not None  # only attributes of providers are clustered by them
    return np.asarray(log.provider[log.item_codes])


def ask(
    log: InteractionLog,
    graph: CausalGraph,
    *,
    by: str,
    groups: Sequence[Any] | None,
    method: str,
    effect: str,
    sampled: Sequence[str],
    min_cell: int,
    **options: Any,
) -> GapQuestion:
    """Read and check the question.

    Raises
    ------
    StudyError
        If options mean nothing, alone or together.
    DataError
        If the column or a group is unknown.
    """
    _one_of(method, METHODS, "method")
    _one_of(effect, EFFECTS, "effect")
    _check(method, effect, options)
    chosen = (sampled,) if isinstance(sampled, str) else tuple(sampled)
    if chosen not in SAMPLED:
        raise StudyError(
            f"sampled={chosen!r} is not ('user', 'item') (new users and items) or ('user',) (new"
            " users of this catalogue)."
        )
    log.require("candidates", *(() if method == "exposure" else ("impressions",)),
                purpose=f"the {method.replace('_', ' ')} decomposition of a gap")  # fmt: skip
    attribute = _attribute(log, by, min_cell)
    first, second = _two(attribute, groups)
    codes = attribute.codes[log.user_codes if attribute.entity == "user" else log.item_codes]
    place = {level: at for at, level in enumerate(attribute.levels)}
    inside = np.isin(codes, [place[first], place[second]])
    if not inside.any():
        raise DataError(f"No row of the log is of {by}={first} or {by}={second}.")
    return GapQuestion(
        log=log if inside.all() else log.select(inside),
        whole=log,
        graph=graph,
        attribute=attribute,
        first=first,
        second=second,
        side=(codes[inside] == place[second]).astype(np.int64),
        method=method,  # type: ignore[arg-type]
        effect=effect,  # type: ignore[arg-type]
        sampled=chosen,
        min_cell=min_cell,
        **options,
    )


def _attribute(log: InteractionLog, by: str, min_cell: int) -> Attribute:
    entity = log.entity_of(by)
    if entity == "event":
        raise DataError(
            f"Column {by!r} belongs to the events: groups are of users, items or providers, so"
            " that somebody is treated worse. Put it in the users or the items table."
        )
    active = np.asarray(np.bincount(log.user_codes, minlength=log.n_users) > 0)
    return read_attribute(log, by, entity=entity, min_cell=min_cell, active_users=active)


def _one_of(value: str, known: Sequence[str], name: str) -> None:
    if value not in known:
        raise StudyError(
            f"{name}={value!r} is none of {', '.join(map(repr, known))}.{near_miss(value, known)}"
        )


def _check(method: str, effect: str, options: dict[str, Any]) -> None:
    if method == "exposure" and (effect != "natural" or options["allowed_mediators"] is not None):
        raise StudyError(
            "effect=... and allowed_mediators=... speak of paths through mediators: ask"
            " method='standard_fairness'. The exposure decomposition has neither."
        )
    model, propensity = options["outcome_model"], options["propensity"]
    if model is not None and (hasattr(model, "for_rows") or not hasattr(model, "fit")):
        raise StudyError(
            f"outcome_model={type(model).__name__} must be an unfitted scikit-learn estimator: it"
            " is fitted within each group, whose rows it gets as numbers."
        )
    if method != "exposure" and not (propensity is None or hasattr(propensity, "predict_proba")):
        raise StudyError(
            "propensity=... of the standard fairness model is that of belonging to the first group:"
            " pass an unfitted scikit-learn classifier, or nothing. Propensities of exposure belong"
            " to method='exposure'."
        )
    if not 0.0 < options["floor"] < 0.5:
        raise StudyError(f"floor={options['floor']:g} must lie between 0 and 0.5.")
    if options["n_repeats"] < 1:
        raise StudyError(f"n_repeats={options['n_repeats']} must be at least 1.")


def _two(attribute: Attribute, groups: Sequence[Any] | None) -> tuple[str, str]:
    """Return the two groups: the first minus the second is the gap."""
    levels = attribute.levels
    listed = ", ".join(map(repr, levels))
    if groups is None:
        if len(levels) != 2:
            raise StudyError(
                f"{attribute.column!r} has {len(levels)} levels ({listed}): name two,"
                " groups=(a, b); the gap is that of the first minus the second."
            )
        return levels[0], levels[1]
    asked = [str(one) for one in groups]
    if len(asked) != 2 or asked[0] == asked[1]:
        raise StudyError(f"groups={groups!r} must name two different levels of {listed}.")
    for one in asked:
        if one not in levels:
            raise DataError(
                f"{attribute.column!r} has no level {one!r}.{near_miss(one, levels)} Its levels"
                f" are {listed}."
            )
    return asked[0], asked[1]
