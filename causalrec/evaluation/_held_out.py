"""Is a model judged on outcomes that it was trained on? Then its error is too small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from causalrec.evaluation._recommenders import Contender
from causalrec.results import Assumption

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.interactions import InteractionLog


@runtime_checkable
class KnowsItsCells(Protocol):
    """A model that can tell which cells it was trained on."""

    def seen(self, users: pd.Index, items: pd.Index) -> npt.ArrayLike:
        """Return True for the aligned pairs of ids that it was trained on."""


def held_out(
    contenders: Sequence[Contender], log: InteractionLog, train: InteractionLog | None
) -> Assumption | None:
    """Return what is known of the overlap between a model's training and this log.

    Parameters
    ----------
    contenders : sequence of Contender
        Models with a method `seen(users, items)` tell; of others nothing is known.
    log : InteractionLog
    train : InteractionLog or None
        Its cells are outside the question already.

    Returns
    -------
    Assumption or None
        None where no model tells.
    """
    telling = {c.name: c.source for c in contenders if isinstance(c.source, KnowsItsCells)}
    if not telling:
        return None
    cells = log.observed_cells()
    asked = np.ones(len(cells), dtype=bool)
    users, items = log.user_ids.take(cells.users), log.item_ids.take(cells.items)
    if train is not None:
        known = train.observed_cells()
        theirs = set(
            zip(train.user_ids.take(known.users), train.item_ids.take(known.items), strict=True)
        )
        asked = np.array([pair not in theirs for pair in zip(users, items, strict=True)])
    shares = {
        name: float(np.mean(np.asarray(model.seen(users[asked], items[asked]), dtype=bool)))
        for name, model in telling.items()
        if asked.any()
    }
    trained_on = {name: share for name, share in shares.items() if share > 0}
    listed = ", ".join(f"{name!r} on {share:.1%}" for name, share in trained_on.items())
    return Assumption(
        name="held-out cells",
        statement="The models were not trained on the outcomes that judge them.",
        status="violated" if trained_on else "tested",
        evidence=f"Of the recorded cells here, {listed} was trained: the errors are too small."
        " Evaluate on the test part of a split, or name the training part with train=..."
        if trained_on
        else "none of the recorded cells was among their training cells",
    )
