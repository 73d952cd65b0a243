"""A computation that can be run again with a randomised slice beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from causalrec.evaluation._cells import CellSource
from causalrec.evaluation._engine import Estimator, Sums, accumulate
from causalrec.evaluation._groups import EVERYBODY, Group
from causalrec.evaluation._law import OutcomeLaw
from causalrec.evaluation._shadow_influence import ShadowInfluence
from causalrec.evaluation._terms import Term

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that `accumulate` needs; a result keeps it beside its numbers.

    Attributes
    ----------
    source, terms, estimators, groups, law, sampled, level, shadow
        As in `accumulate`; the first estimator is the headline.
    """

    source: CellSource
    terms: tuple[Term, ...]
    estimators: tuple[Estimator, ...]
    groups: tuple[Group, ...] = (EVERYBODY,)
    law: OutcomeLaw | None = None
    sampled: tuple[str, ...] = ("user", "item")
    level: float = 0.95
    shadow: ShadowInfluence | None = None

    def run(self) -> Sums:
        """Accumulate all of it."""
        return accumulate(
            self.source,
            self.terms,
            self.estimators,
            groups=self.groups,
            law=self.law,
            sampled=self.sampled,
            level=self.level,
            shadow=self.shadow,
        )

    def beside(self, slice_log: InteractionLog, estimators: Sequence[Estimator]) -> Plan:
        """Return the same computation with the plain mean of a randomised slice added."""
        return replace(
            self,
            source=replace(self.source, randomized=slice_log),
            estimators=(*estimators, "randomized"),
        )
