"""From a log and the options of a `DebiasedMF` to a training problem, whatever it is to learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import StudyError
from causalrec.factorization._adjustments import (
    item_popularity,
    randomized_cells,
    scaled_by_item,
    with_randomized,
    without_popularity,
)
from causalrec.factorization._effect_target import ESTIMATORS, effect_target
from causalrec.factorization._prepare import Prepared, prepare
from causalrec.factorization._recipe import Recipe
from causalrec.factorization._training import Trained

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from causalrec.graph import CausalGraph
    from causalrec.interactions import InteractionLog
    from causalrec.nuisances import Propensity

Objective = Literal["preference", "effect"]
WEIGHTED = {"use_randomized": ("ips", "snips"), "popularity": ("naive", "ips", "snips")}


@dataclass(frozen=True, eq=False)
class Objected:
    """A prepared problem, the log whose cells it is made of, and what happens after training.

    Attributes
    ----------
    log : InteractionLog
        Where outcomes are effects, the log of scores.
    prepared : Prepared
    item_power : float64 array (n_items,) or None
        What predictions of the items are multiplied by.
    """

    log: InteractionLog
    prepared: Prepared
    item_power: NDArray[np.float64] | None = None

    def finish(self, trained: Trained) -> Trained:
        """Return what was trained, on the scale that predictions are to have."""
        if self.item_power is None:
            return trained
        return replace(trained, factors=scaled_by_item(trained.factors, self.item_power))


def training_recipe(options: Mapping[str, Any], recipe: Recipe) -> Recipe:
    """Return the recipe that the arithmetic follows.

    Scores of effects hold their weights already, and a least squares fit without popularity is a
    weighted one, so both are trained as ips on the weights that `prepare_objective` forms.
    """
    if options["objective"] == "effect" or options["popularity"] != "ignore":
        return replace(recipe, estimator="ips")
    return recipe


def prepare_objective(
    options: Mapping[str, Any],
    log: InteractionLog,
    propensity: Propensity | ArrayLike | str | None,
    graph: CausalGraph | None,
    recipe: Recipe,
    *,
    given: tuple[Any, Any] = (None, None),
    weigh_naive: bool = False,
) -> Objected:
    """Return the problem of the log under these options; see `prepare` for the rest."""
    features = options["features"]
    if options["objective"] == "effect":
        target = effect_target(log, propensity, graph, options["estimator"], features)
        even = np.ones(target.log.n_rows)
        found = prepare(target.log, even, None, recipe, target.features, given=given)
        problem = replace(found.problem, noise=target.noise)
        notes = (*target.notes, *(note for note in found.notes if note.startswith("Features")))
        prepared = replace(found, problem=problem, share_clipped=target.share_clipped, notes=notes)
        return Objected(target.log, prepared)
    own = replace(recipe, estimator=options["estimator"])
    prepared = prepare(log, propensity, graph, own, features, weigh_naive=weigh_naive, given=given)
    if _is_asked(options["use_randomized"]):
        prepared = _jointly(prepared, log, options["use_randomized"])
    if options["popularity"] == "ignore":
        return Objected(log, prepared)
    if options["popularity"] == "adjust" and prepared.sides and own.features_as == "regression":
        raise StudyError(
            "popularity='adjust' multiplies factors, and a regression on features adds to them:"
            " use features_as='prior', or popularity='remove' and multiply yourself."
        )
    if weigh_naive and options["estimator"] == "naive":
        raise StudyError(
            "tune validates by propensities, and estimator='naive' with popularity= trains without"
            " them on the same weights: tune estimator='ips', with propensity=1.0 for no weights."
        )
    power = item_popularity(prepared.problem, float(options["popularity_exponent"]))
    note = (
        f"Outcomes were taken as f x popularity^{options['popularity_exponent']:g};"
        f" predictions {'leave popularity out' if options['popularity'] == 'remove' else 'have it'}"
        ". The exponent is declared, not learned: the log does not say how much of popularity is"
        " quality."
    )
    problem = without_popularity(prepared.problem, power)
    prepared = replace(prepared, problem=problem, notes=(*prepared.notes, note))
    return Objected(log, prepared, power if options["popularity"] == "adjust" else None)


def _jointly(prepared: Prepared, log: InteractionLog, share: bool | float) -> Prepared:
    drawn = randomized_cells(log)
    problem, used = with_randomized(prepared.problem, drawn, share)
    note = (
        f"The {int(drawn.sum()):,} cells of the randomised slice count {used:.1%} of the loss; its"
        " rate is the same in every cell, so only the selected cells rest on the propensities."
    )
    return replace(prepared, problem=problem, notes=(*prepared.notes, note))


def _is_asked(use_randomized: bool | float) -> bool:
    return use_randomized is not False


def check_objective(options: Mapping[str, Any]) -> None:
    """Refuse combinations of options that mean nothing.

    Raises
    ------
    StudyError
        Naming both options and the way out.
    """
    estimator = options["estimator"]
    joint, popularity = _is_asked(options["use_randomized"]), options["popularity"] != "ignore"
    if options["objective"] == "effect":
        _check_effect(options, estimator, joint, popularity)
    share = options["use_randomized"]
    if not isinstance(share, bool) and not _in(share, 0.0, 1.0):
        raise StudyError(
            f"use_randomized={share!r} must be True, False, or the slice's share of the loss,"
            " between 0 and 1."
        )
    for name, asked in (("use_randomized", joint), ("popularity", popularity)):
        if asked and estimator not in WEIGHTED[name]:
            raise StudyError(
                f"{name}= changes the weights of observed cells, which does not go with"
                f" estimator={estimator!r}: it takes {', '.join(map(repr, WEIGHTED[name]))}."
            )
    if popularity and not _in(options["popularity_exponent"], 0.0, float("inf")):
        raise StudyError(
            f"popularity_exponent={options['popularity_exponent']!r} must be a positive number."
        )
    if options["popularity"] == "adjust" and options["features"] is not False:
        raise StudyError(
            "popularity='adjust' multiplies factors, and features= adds to them: leave the"
            " features out, or use popularity='remove' and multiply yourself."
        )
    _check_sensitivity(estimator, options["sensitivity"])


def _check_effect(
    options: Mapping[str, Any], estimator: str, joint: bool, popularity: bool
) -> None:
    if estimator not in ESTIMATORS:
        known = ", ".join(map(repr, ESTIMATORS))
        raise StudyError(
            f"objective='effect' fits a two-arm score, which estimator={estimator!r} does not"
            f" have: it takes {known}. naive would compare the exposed with the unexposed."
        )
    wrong = [name for name, on in (("use_randomized", joint), ("popularity", popularity)) if on]
    if options["clip_to_range"]:
        wrong.append("clip_to_range")
    if wrong:
        raise StudyError(
            f"{' and '.join(wrong)}= speak of outcomes, and objective='effect' predicts"
            " differences of them: leave them out."
        )


def _check_sensitivity(estimator: str, sensitivity: object) -> None:
    if not _in(sensitivity, 1.0, float("inf"), closed=True):
        raise StudyError(
            f"sensitivity={sensitivity!r} must be a number of at least 1: how far the odds of"
            " being observed may be from the given ones."
        )
    if (estimator == "robust_ips") != (sensitivity != 1.0):
        raise StudyError(
            f"sensitivity={sensitivity!r} and estimator={estimator!r} do not go together: only"
            " 'robust_ips' has a sensitivity, and it needs one above 1 (at 1 it is 'ips')."
        )


def _in(value: object, least: float, most: float, *, closed: bool = False) -> bool:
    if isinstance(value, bool | str) or not isinstance(value, int | float | np.number):
        return False
    return (least <= float(value) if closed else least < float(value)) and float(value) < most
