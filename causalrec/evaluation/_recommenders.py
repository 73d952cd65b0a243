"""What is evaluated: anything that predicts on aligned id pairs, under a name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from causalrec.errors import DataError, StudyError
from causalrec.factorization import Recommender

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

FloatArray = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]
PredictPairs = Callable[[Any, Any], npt.ArrayLike]
"""Aligned user and item ids to one number each."""

__all__ = ["Codes", "Contender", "FloatArray", "Recommender", "contenders"]


@dataclass(frozen=True)
class Contender:
    """One model under the name it has in the result."""

    name: str
    predict_pairs: PredictPairs
    source: object

    def predict(self, log: InteractionLog, users: Codes, items: Codes) -> FloatArray:
        """Return the predictions of cells given by the codes of `log`.

        Raises
        ------
        DataError
            If the model returns another number of values than it was asked for, or values that
            are not finite.
        """
        asked = (log.user_ids.take(users), log.item_ids.take(items))
        found = np.asarray(self.predict_pairs(*asked), dtype=np.float64)
        if found.shape != (len(users),):
            raise DataError(
                f"Model {self.name!r} returned an array of shape {found.shape} for"
                f" {len(users):,} (user, item) pairs. predict(users, items) must return one"
                " number for each aligned pair."
            )
        bad = ~np.isfinite(found)
        if bad.any():
            shown = [(u, i) for u, i in zip(asked[0][bad][:5], asked[1][bad][:5], strict=True)]
            raise DataError(
                f"Model {self.name!r} returned no finite number for {int(bad.sum()):,} of"
                f" {len(users):,} (user, item) pairs; the first: {shown}. Give every eligible pair"
                " a prediction (a global mean for unknown users, for example)."
            )
        return found


def contenders(models: object) -> tuple[Contender, ...]:
    """Return the models under their names: a single one is called "model".

    Parameters
    ----------
    models : Recommender, callable(users, items), or mapping of name to either

    Raises
    ------
    StudyError
        If something has neither `predict` nor is callable, or the mapping is empty.

    Examples
    --------
    >>> [c.name for c in contenders({"b": lambda u, i: u, "a": lambda u, i: i})]
    ['b', 'a']
    """
    named = dict(models) if isinstance(models, Mapping) else {"model": models}
    if not named:
        raise StudyError("No model was given: pass a model, a callable or a dict of them.")
    return tuple(
        Contender(str(name), _predict_of(str(name), model), model) for name, model in named.items()
    )


def _predict_of(name: str, model: object) -> PredictPairs:
    if isinstance(model, Recommender):
        return model.predict
    if callable(model):
        return model
    raise StudyError(
        f"{name!r} ({type(model).__name__}) has no predict(users, items) and is not callable:"
        " pass a fitted model, or a function of aligned user and item ids."
    )
