"""What is evaluated: what predicts on aligned id pairs, or a table of scores or lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from causalrec.errors import DataError, StudyError
from causalrec.evaluation._frames import ModelTable
from causalrec.evaluation._lists import lists_of_cells
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
    """One model under the name it has in the result.

    Attributes
    ----------
    name : str
    predict_pairs : callable or None
        None for a table, which is read by the codes of a log.
    source : object
        What was given: the model, the function, or the table as it was read.
    """

    name: str
    predict_pairs: PredictPairs | None
    source: object

    def predict(self, log: InteractionLog, users: Codes, items: Codes) -> FloatArray:
        """Return the predictions of cells given by the codes of `log`.

        Raises
        ------
        DataError
            If the model returns another number of values than it was asked for, or values that
            are not finite.
        """
        if isinstance(self.source, ModelTable):
            return self.source.predict(log, users, items)
        assert self.predict_pairs is not None  # only a table has none
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

    @property
    def lists_only(self) -> bool:
        """Whether it says what is listed, and nothing of the rest."""
        return isinstance(self.source, ModelTable) and self.source.lists_only

    def notes(self, log: InteractionLog) -> list[str]:
        """Return what is to be said of a table: users without a list."""
        return self.source.notes(log) if isinstance(self.source, ModelTable) else []

    def places(self, users: Codes, items: Codes, prediction: FloatArray) -> npt.NDArray[np.int64]:
        """Return the 1-based place of each cell among the given cells of its user.

        Of given lists, those cells that are listed move up to places 1, 2, ..., and the others
        have place 0.
        """
        place = lists_of_cells(users, items, prediction)
        return np.where(prediction > 0.0, place, 0) if self.lists_only else place


def contenders(models: object) -> tuple[Contender, ...]:
    """Return the models under their names: a single one is called "model".

    Parameters
    ----------
    models : Recommender, callable(users, items), table, or mapping of name to one of them
        A table (pandas, polars, pyarrow) has the columns user_id, item_id (or as the log names
        them) and score, for every pair that is needed; or rank, from 1, for the items listed.

    Raises
    ------
    StudyError
        If something is neither a model nor callable nor a table, or the mapping is empty.

    Examples
    --------
    >>> [c.name for c in contenders({"b": lambda u, i: u, "a": lambda u, i: i})]
    ['b', 'a']
    """
    named = dict(models) if isinstance(models, Mapping) else {"model": models}
    if not named:
        raise StudyError("No model was given: pass a model, a callable or a dict of them.")
    return tuple(_contender(str(name), model) for name, model in named.items())


def _contender(name: str, model: object) -> Contender:
    if isinstance(model, type):
        raise StudyError(
            f"{name!r} is the class {model.__name__}, not a model: fit one on a log, and pass that."
        )
    if isinstance(model, Recommender):
        return Contender(name, model.predict, model)
    if callable(model):
        return Contender(name, model, model)
    table = ModelTable.of(name, model)
    if table is not None:
        return Contender(name, None, table)
    raise StudyError(
        f"{name!r} ({type(model).__name__}) has no predict(users, items), is not callable and is no"
        " table: pass a fitted model, a function of aligned user and item ids, or a table with"
        " user_id, item_id and score (or rank)."
    )
