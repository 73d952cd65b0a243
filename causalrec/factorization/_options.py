"""The options of `DebiasedMF` held against what they may be, in one message each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from causalrec.errors import StudyError, check_seed, near_miss
from causalrec.factorization._adjustments import Popularity
from causalrec.factorization._common import RidgeForm
from causalrec.factorization._recipe import (
    WHOLE_GRID,
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
WHOLE_NUMBERS = {"n_factors": 0, "n_sweeps": 1, "n_jobs": 1, "patience": 1}
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
'snips', 'eib', 'dr', 'mrdr', 'stable_dr', 'relmf', 'robust_ips'. Did you mean 'mrdr'?
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
    check_seed(options.get("random_state"))
    if not isinstance(options.get("biases", True), bool):
        raise StudyError(f"biases={options['biases']!r} of DebiasedMF must be True or False.")
    share = options.get("early_stopping", False)
    if not isinstance(share, bool) and not (_number(share, 0.0) and 0.0 < float(share) < 1.0):
        raise StudyError(
            f"early_stopping={share!r} of DebiasedMF must be True, False, or the share of the"
            " observed cells to hold out, between 0 and 1."
        )


def check_pairs(options: Mapping[str, Any]) -> None:
    """Refuse options that mean nothing together.

    Parameters
    ----------
    options : mapping
        All options of a model, each checked by `check_options`.

    Raises
    ------
    StudyError
        Naming the options and the way out.
    """
    for meaningless, reason in (*_clashes_of_solver(options), *_clashes_of_stopping(options)):
        if meaningless:
            raise StudyError(reason)


def _clashes_of_solver(options: Mapping[str, Any]) -> tuple[tuple[bool, str], ...]:
    solver, prior = options["solver"], options["features_as"] == "prior"
    svd, biased = solver == "svd", options["biases"]
    weighted = options["estimator"] not in WHOLE_GRID or options["objective"] == "effect"
    return (
        (
            prior and solver != "als",
            f"features_as='prior' has closed forms that only solver='als' takes, not {solver!r}:"
            " leave the solver out, or use features_as='regression'.",
        ),
        (
            prior and not biased,
            "features_as='prior' draws the biases around what features say: leave biases=False out,"
            " or use features_as='regression'.",
        ),
        (
            solver == "sgd" and not biased,
            "solver='sgd' steps along the biases too: biases=False takes solver='als' or 'svd'.",
        ),
        (
            options["n_factors"] == 0 and not biased,
            "n_factors=0 with biases=False leaves nothing to fit but the mean: say one of them.",
        ),
        (
            options["estimator"] == "eib" and options["imputation"] == "ips",
            "estimator='eib' uses no propensity, so it has no imputation='ips': use 'naive',"
            " 'biases' or 'constant', or estimator='dr'.",
        ),
        (
            svd and weighted,
            "solver='svd' is the closed form of the estimators whose loss gives every cell of the"
            f" grid the same weight ({', '.join(WHOLE_GRID)}, for preferences); weighted cells have"
            " none: use solver='als'.",
        ),
        (
            svd and biased,
            "solver='svd' has its closed form without biases: say biases=False, or use"
            " solver='als'.",
        ),
        (
            svd and options["regularization_form"] != "uniform",
            "solver='svd' has its closed form where one ridge serves all rows: use"
            " regularization_form='uniform', or solver='als'.",
        ),
    )


def _clashes_of_stopping(options: Mapping[str, Any]) -> tuple[tuple[bool, str], ...]:
    asked = options["early_stopping"] is not False
    estimator = options["estimator"]
    return (
        (
            asked and options["solver"] == "svd",
            "solver='svd' goes to an optimum that does not depend on its passes: leave"
            " early_stopping= out, and choose the regularization.",
        ),
        (
            asked and options["features_as"] == "prior",
            "features_as='prior' is not watched sweep by sweep: leave early_stopping= out.",
        ),
        (
            asked and estimator in {"relmf", "robust_ips"},
            "early_stopping= watches a squared error weighted by 1 / p, which is not what"
            f" estimator={estimator!r} makes small: leave it out.",
        ),
    )


def _whole(value: object, least: int) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool) and int(value) >= least


def _number(value: object, least: float) -> bool:
    try:
        return not isinstance(value, bool | str) and least <= float(value) < float("inf")  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
