"""What may be asked of `policy_value`, and the combinations that mean nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from causalrec.errors import StudyError, near_miss
from causalrec.evaluation._policies import TargetPolicy
from causalrec.evaluation._policy_bernstein import refuse_unbounded
from causalrec.evaluation._policy_estimators import RECIPES, TUNED, IntArray
from causalrec.evaluation._policy_tuning import TuningRule
from causalrec.evaluation._slate_models import check_slate_model

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

IntervalMethod = Literal["clustered", "empirical_bernstein"]
Parameter = float | TuningRule | None
ADAPTIVE_ABLE = ("dr", "ips")


@dataclass(frozen=True, eq=False)
class PolicyOptions:
    """The checked options.

    Attributes
    ----------
    names : tuple of str
        Estimators; the first is the headline.
    slate_model : str or None
    adaptive : bool
    tuning : mapping from estimator to parameter or rule
    clip : float, rule or None
    clusters : mapping from dimension to int (n,)
    sampled : tuple of str
    interval : {"clustered", "empirical_bernstein"}
    """

    names: tuple[str, ...]
    slate_model: str | None
    adaptive: bool
    tuning: Mapping[str, Parameter]
    clip: Parameter
    clusters: dict[str, IntArray]
    sampled: tuple[str, ...]
    interval: IntervalMethod

    @property
    def unit(self) -> str:
        """What the value is a mean over."""
        return "an impression" if self.slate_model is None else "a slate"

    def parameter_of(self, name: str) -> Parameter:
        """Return what was asked of an estimator's weights."""
        transform = RECIPES[name].transform
        if transform is None:
            return None
        return self.clip if transform == "clip" else self.tuning[name]

    def require_all_items(self, target: TargetPolicy, log: InteractionLog) -> None:
        """Raise where a reward model is asked for and only logged items have probabilities."""
        if target.of_all is None:
            name = next(name for name in self.names if RECIPES[name].uses_model)
            raise StudyError(
                f"estimator={name!r} needs the policy's probability of every item, not of the"
                f" logged one alone: pass an array ({log.n_rows}, {log.n_items}), or choose"
                " 'snips'."
            )

    def config(self, parameters: Mapping[str, float | None], n_folds: int) -> dict[str, Any]:
        """Return the options as plain JSON types, those at their defaults left out."""
        found: dict[str, Any] = {
            "estimator": list(self.names),
            "sampled": list(self.sampled),
            "clip": self.clip,
            "n_folds": n_folds,
        }
        used = {name: parameters[name] for name in self.names if name in TUNED}
        if used:
            found["tuning"] = {name: self.tuning[name] for name in used}
            found["parameters"] = used
        if self.slate_model is not None:
            found["slate_model"] = self.slate_model
        if self.adaptive:
            found["adaptive"] = True
        if self.interval != "clustered":
            found["interval"] = self.interval
        return found


def check_options(
    log: InteractionLog,
    estimator: str | Sequence[str],
    slate_model: str | None,
    adaptive: bool,
    tuning: float | str | Mapping[str, float | TuningRule],
    clip: float | TuningRule | None,
    sampled: Sequence[str] | None,
    interval: IntervalMethod,
    largest_weight: float | None,
) -> PolicyOptions:
    """Check what was asked; see `policy_value`."""
    log.require("impressions", purpose="the value of a policy")
    log.require_fields("logging_propensity", purpose="the value of a policy")
    names = _estimators(estimator)
    check_slate_model(log, slate_model, names)
    if adaptive:
        _check_adaptive(names, slate_model, interval)
    clusters, chosen = _clusters(log, sampled, slate_model, adaptive)
    if interval not in get_args(IntervalMethod):
        known = get_args(IntervalMethod)
        raise StudyError(
            f"interval={interval!r} is unknown.{near_miss(interval, known)}"
            f" It is one of {', '.join(known)}."
        )
    if interval == "empirical_bernstein":
        refuse_unbounded(names, chosen)
    elif largest_weight is not None:
        raise StudyError("largest_weight=... is of interval='empirical_bernstein' only.")
    return PolicyOptions(
        names=names,
        slate_model=slate_model,
        adaptive=adaptive,
        tuning=_parameters(names, tuning),
        clip=_clip(clip),
        clusters=clusters,
        sampled=chosen,
        interval=interval,
    )


def _estimators(asked: str | Sequence[str]) -> tuple[str, ...]:
    names = (asked,) if isinstance(asked, str) else tuple(dict.fromkeys(asked))
    known = tuple(RECIPES)
    for name in names:
        if name not in known:
            near = " It is called 'regression' here." if name == "dm" else near_miss(name, known)
            raise StudyError(
                f"{name!r} does not estimate the value of a policy.{near}"
                f" The estimators are: {', '.join(known)}."
            )
    if not names:
        raise StudyError(f"No estimator was asked for; they are: {', '.join(known)}.")
    return names


def _check_adaptive(names: Sequence[str], slate_model: str | None, interval: str) -> None:
    wrong = [name for name in names if name not in ADAPTIVE_ABLE]
    if wrong:
        raise StudyError(
            f"estimator={wrong[0]!r} has no interval on an adaptive log: its score is not unbiased"
            f" given the past. adaptive=True takes: {', '.join(ADAPTIVE_ABLE)}."
        )
    if slate_model is not None:
        raise StudyError(
            "adaptive=True takes places one by one: what the past foretells of the variance of a"
            f" whole slate is not known. Leave out slate_model={slate_model!r}."
        )
    if interval == "empirical_bernstein":
        raise StudyError(
            "interval='empirical_bernstein' is for independent draws; those of an adaptive log"
            " depend on its past. Leave it out, or adaptive=True."
        )


def _clusters(
    log: InteractionLog, sampled: Sequence[str] | None, slate_model: str | None, adaptive: bool
) -> tuple[dict[str, IntArray], tuple[str, ...]]:
    """Return the codes of the chosen dimensions."""
    known: dict[str, IntArray] = {
        "user": log.user_codes,
        "item": log.item_codes,
        "row": np.arange(log.n_rows),
    }
    joint = False
    if log.slate is not None:
        known["slate"] = log.slate
        joint = len(np.unique(log.slate)) < log.n_rows
    chosen = tuple(sampled) if sampled is not None else _default_clusters(log, joint, adaptive)
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        raise StudyError(
            f"sampled={chosen!r} is not possible here: choose from {', '.join(sorted(known))}."
        )
    if "row" in chosen and (joint or slate_model is not None):
        raise StudyError(
            f"sampled={chosen!r}: the rows of a slate were drawn jointly, so they are one draw."
            " Choose ('slate',) or ('user',)."
        )
    if adaptive and chosen not in {("row",), ("slate",)}:
        raise StudyError(
            f"sampled={chosen!r}: on an adaptive log what is drawn follows time, row by row or"
            " slate by slate. Choose ('slate',) or ('row',)."
        )
    return {name: known[name] for name in chosen}, chosen


def _default_clusters(log: InteractionLog, joint: bool, adaptive: bool) -> tuple[str, ...]:
    by_slate = ("slate",) if log.slate is not None else ("row",)
    if adaptive:
        return by_slate if joint else ("row",)
    users = len(np.unique(log.user_codes))
    if users == 1:
        return by_slate
    return ("user",) if users < log.n_rows else ("row",)


def _parameters(
    names: Sequence[str], asked: float | str | Mapping[str, float | TuningRule]
) -> dict[str, Parameter]:
    """Return what was asked of each estimator with a parameter."""
    tuned = [name for name in names if name in TUNED]
    if isinstance(asked, Mapping):
        unknown = [name for name in asked if name not in TUNED]
        if unknown:
            raise StudyError(
                f"tuning names {unknown[0]!r}.{near_miss(unknown[0], TUNED)}"
                f" Those with a parameter are: {', '.join(TUNED)}."
            )
        return {name: _parameter(name, asked.get(name, "mse_bound")) for name in tuned}
    return {name: _parameter(name, asked) for name in tuned}


def _parameter(name: str, asked: float | str) -> Parameter:
    if isinstance(asked, str):
        return _rule(asked, f"tuning of {name!r}")
    most = 1.0 if name.startswith("sub_gaussian") else np.inf
    if not 0.0 <= asked <= most or (asked == 0.0 and most > 1.0):
        allowed = "between 0 and 1" if most == 1.0 else "above 0"
        raise StudyError(f"The parameter {asked!r} of {name!r} must lie {allowed}.")
    return float(asked)


def _clip(asked: float | str | None) -> Parameter:
    if isinstance(asked, str):
        return _rule(asked, "clip")
    if asked is not None and not asked > 0.0:
        raise StudyError(f"clip={asked!r} must lie above 0.")
    return asked


def _rule(asked: str, of: str) -> TuningRule:
    for rule in get_args(TuningRule):
        if asked == rule:
            found: TuningRule = rule
            return found
    known = get_args(TuningRule)
    raise StudyError(
        f"{of}: {asked!r} is no rule.{near_miss(asked, known)}"
        f" Give a number, or one of {', '.join(known)}."
    )
