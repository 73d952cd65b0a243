"""What the fits of one log have in common: its design and its never-observed profiles, made once.

Folds, repeats, both nuisances and the closed forms of the sensitivity all look at the same rows. A
design of a million rows takes .2 GB, so it is shared for as long as one of them holds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakValueDictionary

from causalrec.nuisances._features import Encoders, RowDesign, row_design
from causalrec.nuisances._never import Never, never_observed

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

_designs: WeakKeyDictionary[
    InteractionLog, WeakValueDictionary[tuple[Encoders, bool], RowDesign]
] = WeakKeyDictionary()
_never: WeakKeyDictionary[InteractionLog, dict[Encoders, tuple[Never, Never]]] = WeakKeyDictionary()


def shared_design(log: InteractionLog, encoders: Encoders, *, crosses: bool) -> RowDesign:
    """Return `row_design`; the same object for as long as somebody holds it. Not to be written to.

    Without anything to cross, a design with crosses is one without.
    """
    crosses = crosses and bool(encoders.user.codes) and bool(encoders.item.codes)
    mine = _designs.setdefault(log, WeakValueDictionary())
    found = mine.get((encoders, crosses))
    if found is None:
        found = row_design(log, encoders, crosses=crosses)
        found.matrix.flags.writeable = False
        mine[encoders, crosses] = found
    return found


def shared_never(log: InteractionLog, encoders: Encoders) -> tuple[Never, Never]:
    """Return the profiles of candidates that were never and those that were always exposed."""
    mine = _never.setdefault(log, {})
    if encoders not in mine:
        mine[encoders] = (
            never_observed(log, encoders),
            never_observed(log, encoders, exposed=False),
        )
    return mine[encoders]
