"""The methods of `PropensityModel`: their names, what each is for, and what goes with what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from causalrec.errors import StudyError
from causalrec.nuisances._features import Covariates

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances._model import PropensityModel

Method = Literal[
    "auto",
    "logistic",
    "cloglog",
    "case-control",
    "low-rank",
    "naive-bayes",
    "boosting",
    "popularity",
    "independence",
]

WITH_COVARIATES = frozenset({"auto", "logistic", "cloglog", "case-control", "low-rank", "boosting"})
"""Methods that look at the covariates of the graph."""
OF_ROWS = frozenset({"auto", "logistic", "boosting", "popularity", "independence"})
"""Methods for a log of candidates, too."""
METHODS = (*sorted(WITH_COVARIATES), "naive-bayes", "popularity", "independence")

_WITHOUT = {
    "popularity": "The propensity is the user's activity times the item's popularity: no covariate"
    " of the graph enters.",
    "independence": "The propensity is one constant: no covariate enters, nothing is repaired.",
    "naive-bayes": "The propensity depends on the rating alone: no covariate of the graph enters.",
}
POWER_LAW = (
    "The propensity is a power of the item's popularity: no covariate of the graph enters, and the"
    " exponent is an assumption."
)


def settle(method: Any, classifier: Any, log: InteractionLog) -> tuple[str, Any]:
    """Return the method's name for this log, and the classifier.

    Raises
    ------
    StudyError
        If there is no such method, or none for this kind of log.
    """
    if not isinstance(method, str) and hasattr(method, "predict_proba"):
        if classifier is not None:
            raise StudyError("Two classifiers were given, as method= and as classifier=: give one.")
        method, classifier = "auto", method
    if method not in METHODS:
        raise StudyError(
            f"There is no propensity method {method!r}; choose one of"
            f" {', '.join(map(repr, METHODS))}, a scikit-learn classifier, or give the"
            " propensities (KnownPropensity)."
        )
    if classifier is not None and method not in {"auto", "logistic"}:
        raise StudyError(
            f"method={method!r} fits its own model: leave classifier out, or leave method out."
        )
    if log.kind == "candidates" and method not in OF_ROWS:
        raise StudyError(
            f"method={method!r} is for the cells of a rating log, where what was not observed has"
            " no row. On a log of candidates every row is there: use 'logistic' or 'boosting'."
        )
    if method == "boosting":
        from sklearn.ensemble import HistGradientBoostingClassifier

        return method, HistGradientBoostingClassifier()
    return ("logistic" if log.kind == "candidates" and method == "auto" else method), classifier


def check_pairs(
    method: str, classifier: Any, model: PropensityModel, log: InteractionLog, *, weighted: bool
) -> None:
    """Refuse options that mean nothing with the method, or with the kind of log.

    Raises
    ------
    StudyError
    """
    _check_numbers(model)
    grid, effects = log.kind == "ratings", bool(model.user_effects or model.item_effects)
    if weighted and (grid or method != "logistic"):
        raise StudyError(
            "Row weights are for a logistic model on a log of candidates, which is fitted to"
            f" rows; method={model.method!r} on a log of {log.kind} is not. Leave them out, or"
            " give the propensities."
        )
    if not grid and method == "logistic" and effects:
        raise StudyError(
            "On a candidates log the propensity is a function of the covariates of the graph:"
            " user and item effects are not available. Leave user_effects and item_effects"
            " out, or add columns that carry what they should."
        )
    if classifier is not None and grid and effects:
        raise StudyError(
            "A classifier sees features: user and item effects are not available. Leave them out,"
            " or use 'logistic', 'cloglog' or 'case-control'."
        )
    foldable = grid and classifier is None and method in {"auto", "logistic", "low-rank"}
    if model.cell_folds is not None and not foldable:
        raise StudyError(
            "cell_folds deals the cells of a rating log into folds, for the methods 'logistic' and"
            " 'low-rank', whose effects and factors have seen the cell; leave it out here. Folds"
            " of users or of blocks are those of cross_fit."
        )
    if model.popularity_exponent is not None and method != "popularity":
        raise StudyError(
            f"popularity_exponent is for method='popularity'; {method!r} has no use for it."
        )
    if model.randomized is not None and method != "naive-bayes":
        raise StudyError(
            "randomized=LOG gives the ratings of uniform cells to method='naive-bayes';"
            f" {method!r} has no use for them."
        )


def _check_numbers(model: PropensityModel) -> None:
    for name in (
        "regularization",
        "cross_regularization",
        "effect_regularization",
        "factor_regularization",
        "popularity_exponent",
    ):
        value = getattr(model, name)
        if value is not None and not value > 0:
            raise StudyError(f"{name} must be positive, not {value!r}.")
    for name, least in (("rank", 1), ("controls", 1), ("cell_folds", 2)):
        value = getattr(model, name)
        if value is not None and not value >= least:
            raise StudyError(f"{name} must be at least {least}, not {value!r}.")


def without_covariates(method: str, exponent: float | None) -> Covariates:
    """Return no covariates, and say so."""
    note = POWER_LAW if method == "popularity" and exponent is not None else _WITHOUT[method]
    return Covariates((), (), notes=(note,))
