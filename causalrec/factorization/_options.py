"""The options of `DebiasedMF` held against what they may be, in one message each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from causalrec.errors import StudyError, near_miss
from causalrec.factorization._adjustments import Popularity
from causalrec.factorization._common import RidgeForm
from causalrec.factorization._training import (
    Estimator,
    FeaturesAs,
    Imputation,
    Kernel,
    Solver,
)

CHOICES: dict[str, tuple[str, ...]] = {
    "objective": ("preference", "effect"),
    "popularity": get_args(Popularity),
    "estimator": get_args(Estimator),
    "imputation": get_args(Imputation),
    "features_as": get_args(FeaturesAs),
    "solver": get_args(Solver),
    "regularization_form": get_args(RidgeForm),
    "kernel": get_args(Kernel),
    "dtype": ("float64", "float32"),
}
WHOLE_NUMBERS = {"n_factors": 0, "n_sweeps": 1, "n_jobs": 1}
NUMBERS = {"regularization": 0.0, "feature_regularization": 0.0, "tol": 0.0, "learning_rate": 0.0}


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse an option that means nothing.

    Raises
    ------
    StudyError
        Naming the option, what it may be and what it was.

    Examples
    --------
    >>> check_options({"estimator": "mrrd"})
    Traceback (most recent call last):
    ...
    causalrec.errors.StudyError: estimator='mrrd' of DebiasedMF is not one of 'naive', 'ips', \
'snips', 'dr', 'mrdr', 'robust_ips'. Did you mean 'mrdr'?
    """
    for name, value in options.items():
        if name in CHOICES and value not in CHOICES[name]:
            allowed = ", ".join(map(repr, CHOICES[name]))
            hint = near_miss(str(value), CHOICES[name])
            raise StudyError(f"{name}={value!r} of DebiasedMF is not one of {allowed}.{hint}")
        if name in WHOLE_NUMBERS and not _whole(value, WHOLE_NUMBERS[name]):
            raise StudyError(
                f"{name}={value!r} of DebiasedMF must be a whole number of at least"
                f" {WHOLE_NUMBERS[name]}."
            )
        if name in NUMBERS and value is not None and not _number(value, NUMBERS[name]):
            raise StudyError(
                f"{name}={value!r} of DebiasedMF must be a number of at least {NUMBERS[name]:g}."
            )
    if options.get("features_as") == "prior" and options.get("solver", "als") != "als":
        raise StudyError(
            f"features_as='prior' has closed forms that only solver='als' takes, not"
            f" {options['solver']!r}: leave the solver out, or use features_as='regression'."
        )


def _whole(value: object, least: int) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool) and int(value) >= least


def _number(value: object, least: float) -> bool:
    try:
        return not isinstance(value, bool | str) and least <= float(value) < float("inf")  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
