"""What is asked of an effect, settled before any data are touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from causalrec.errors import StudyError, check_seed, check_whole_number, near_miss

Estimator = Literal[
    "dr", "ips", "snips", "regression", "econml", "dr-learner", "causal-forest-dml", "linear-dml"
]
Estimand = Literal["ate", "att", "atu", "overlap"]
OtherWay = Literal["iv", "driv", "front-door"]
OTHER_WAYS: dict[str, str] = {"iv": "instrument", "driv": "instrument", "front-door": "front-door"}
"""Estimators for where no adjustment is enough, and the strategy of the graph that each needs."""
DR_BY_ECONML = ("econml", "dr-learner", "causal-forest-dml")
"""Estimators by EconML that have the doubly robust score."""
BY_ECONML = (*DR_BY_ECONML, "linear-dml")
"""Estimators by EconML that adjust for covariates."""

WHOM: dict[str, str] = {
    "ate": "",
    "att": " on the exposed",
    "atu": " on the unexposed",
    "overlap": " in the overlap",
}
Unit = Literal["item", "slate", "user"]


@dataclass(frozen=True)
class Question:
    """The options of `estimate_effect`, checked."""

    estimator: Estimator
    estimand: Estimand
    sign: float
    sampled: tuple[str, ...]
    clip: float | None
    floor: float
    n_folds: int
    n_repeats: int
    level: float
    random_state: int | None
    column: str = ""
    """Of an exposure of other values than 0 and 1; "" where it is the log's own."""
    levels: tuple[Any, ...] = ()
    """Its values compared: the first with each of the others."""
    weighting: str = ""
    """What the rows are weighted by, in words; "" where they count alike."""
    uncounted: int = 0
    """Rows of weight 0, which are left out before anything else."""

    @classmethod
    def of(
        cls, *, contrast: Sequence[Any], unit: str, sampled: Sequence[str], **options: Any
    ) -> Question:
        """Check the options that can be checked without a log."""
        known = (*get_args(Estimator), *OTHER_WAYS)
        _check_choice("estimator", options["estimator"], known)
        _check_choice("estimand", options["estimand"], get_args(Estimand))
        if not options.get("levels") and tuple(contrast) not in ((1, 0), (0, 1)):
            raise StudyError(
                f"contrast={tuple(contrast)!r} compares arms that a binary exposure does not have:"
                " (1, 0) is exposed against not exposed, (0, 1) the reverse. For the values of"
                " another column (a position, an arm) make it the graph's exposure."
            )
        _check_unit(unit, options)
        if options["estimator"] in OTHER_WAYS:
            if options["estimand"] != "ate":
                raise StudyError(
                    f"estimator={options['estimator']!r} identifies one effect, which its answer"
                    f" names; it has no estimand {options['estimand']!r}. Leave the estimand out."
                )
            options["estimator"] = "dr"  # of the parts that it is made of
        if options["estimator"] == "linear-dml":
            if options["estimand"] not in {"ate", "overlap"} or options["clip"] is not None:
                raise StudyError(
                    "estimator='linear-dml' weights rows by p (1 - p) and divides by no propensity:"
                    " its estimand is 'overlap', and there is nothing to clip. Ask for 'dr', or"
                    " 'dr-learner', where another estimand is meant."
                )
            options["estimand"] = "overlap"
        check_whole_number("n_repeats", options["n_repeats"], least=1)
        check_whole_number("n_folds", options["n_folds"], least=2)
        check_seed(options["random_state"])
        clip = options["clip"]
        if clip is not None and not 0.0 < clip < 0.5:
            raise StudyError(f"clip must lie between 0 and 0.5, not {clip!r}.")
        reverse = not options.get("levels") and tuple(contrast) == (0, 1)
        sign = -1.0 if reverse else 1.0
        return cls(sign=sign, sampled=tuple(sampled), **options)

    @property
    def arm_names(self) -> tuple[str, str]:
        """What the two arms are called."""
        if not self.levels:
            return "exposed", "unexposed"
        return f"{self.column}={self.levels[0]}", f"{self.column}={self.levels[1]}"

    @property
    def cause(self) -> str:
        """What is done to a row, as the subject of a sentence: "position 1 rather than 5"."""
        if not self.levels:
            return "being exposed"
        first, *others = map(str, self.levels)
        against = " or ".join(filter(None, (", ".join(others[:-1]), others[-1])))
        return f"{self.column} {first} rather than {against}"

    @property
    def metric(self) -> str:
        """What is measured, as rows call it."""
        whom = WHOM[self.estimand]
        if self.levels and self.estimand in {"att", "atu"}:
            whom = f" at {self.arm_names[self.estimand == 'atu']}"
        return f"effect{whom}"

    @property
    def direction(self) -> str:
        """The contrast in words."""
        if self.levels:
            first, *others = self.levels
            return "; ".join(f"{self.column} {first} - {other}" for other in others)
        return "exposed - unexposed" if self.sign > 0 else "unexposed - exposed"

    @property
    def uses_propensity(self) -> bool:
        """Whether the estimator weights by propensities."""
        return self.estimator != "regression" or self.estimand == "overlap"

    @property
    def uses_outcome_model(self) -> bool:
        """Whether the estimator fits an outcome model of ours."""
        return self.estimator in {"dr", "regression"}


def _check_unit(unit: str, options: Mapping[str, Any]) -> None:
    """Refuse what totals of a slate or a user do not have."""
    _check_choice("unit", unit, get_args(Unit))
    if unit == "item":
        return
    if options["estimator"] in OTHER_WAYS:
        raise StudyError(
            f"estimator={options['estimator']!r} answers for single rows; the effect on the total"
            f" of a {unit} is estimated by adjustment: estimator='dr', 'ips', 'snips' or"
            " 'regression'."
        )
    if options.get("levels"):
        raise StudyError(
            f"unit={unit!r} asks about an exposure of 0 and 1. To compare two values of"
            f" {options['column']!r} on totals, keep the rows at these two and name a 0/1 column as"
            " exposure when the log is made."
        )
    if options.get("weighting"):
        raise StudyError(
            f"Weights are of rows, and unit={unit!r} adds rows up. Multiply the outcome by them"
            " before the log is made, if a weighted total is meant."
        )


def _check_choice(name: str, value: object, known: Sequence[str]) -> None:
    if value not in known:
        listed = ", ".join(map(repr, known))
        raise StudyError(
            f"There is no {name} {value!r}.{near_miss(str(value), known)} Choose one of {listed}."
        )
