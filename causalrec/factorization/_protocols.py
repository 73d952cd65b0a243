"""What the floors above ask of a recommender."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from causalrec.factorization._common import Floats


@runtime_checkable
class Recommender(Protocol):
    """Anything with `predict(users, items)` on aligned ids: ours, a peer's, or a user's own."""

    def predict(self, users: Sequence[Any], items: Sequence[Any]) -> Floats:
        """Return one prediction for each aligned pair of ids."""
        ...
