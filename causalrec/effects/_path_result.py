"""`PathResult`: the parts of an effect, and what is said of every kind of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from causalrec.errors import OverlapError, OverlapWarning, ResultError
from causalrec.results import Assumption, Result, Row, Table, format_cell, provenance

if TYPE_CHECKING:
    from causalrec.graph import CausalGraph, Estimand
    from causalrec.inference import Estimate
    from causalrec.interactions import InteractionLog

Floats = NDArray[np.float64]
NOTABLE = 0.01
"""A share of rows set aside above this is warned about; a smaller one is only counted."""


class PathResult(Result):
    """The parts of an effect along and beside a mediator: a `Result` with its `estimate`.

    What an `EffectResult` can be asked beyond that is refused in a sentence that says what to ask
    instead.
    """

    @property
    def estimate(self) -> Estimate:
        """The joint `Estimate` of all parts.

        Raises
        ------
        ResultError
            If the result was reloaded from a file.
        """
        found: Estimate = self.internal("estimate")
        return found

    def by(self, column: str, **_: Any) -> NoReturn:
        """Refuse: the models of the mediator are fitted to all rows."""
        raise ResultError(
            f"Path effects by {column!r} need models of the mediator within each group: select its"
            " rows with log.select(...) and ask estimate_paths of each."
        )

    def modifiers(self, columns: Sequence[str], **_: Any) -> NoReturn:
        """Refuse: see `EffectResult.modifiers` for the whole effect."""
        raise ResultError(
            f"A regression of path effects on {', '.join(map(repr, columns))} is not offered: ask"
            " estimate_effect(...).modifiers(...) of the whole effect, or estimate_paths of the"
            " rows of one group."
        )

    def refute(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: a placebo exposure would move the mediator as well."""
        raise ResultError(
            "Refuters permute the exposure, which moves the mediator too: refute the whole effect"
            " with estimate_effect(...).refute(log), or ask estimate_paths with a negative-control"
            " outcome named as the outcome of log and graph."
        )

    def sensitivity(self, **_: Any) -> NoReturn:
        """Refuse: the figure stands in the ledger."""
        raise ResultError(
            "What a hidden cause of mediator and outcome would have to do stands among the"
            " assumptions ('no unmeasured confounding of the mediator'); for hidden causes of the"
            " exposure ask estimate_effect(...).sensitivity()."
        )


@dataclass(frozen=True)
class PathQuestion:
    """The options of `estimate_paths`, checked, and what the graph identified."""

    log: InteractionLog
    graph: CausalGraph
    identified: Estimand
    outcome_model: Any
    sampled: tuple[str, ...]
    floor: float
    n_folds: int
    level: float
    random_state: int | None
    seed: int

    def result(
        self,
        joint: Estimate,
        rows: Sequence[Row],
        *,
        title: str,
        asked: str,
        answer: str,
        tables: tuple[Table, ...],
        assumptions: tuple[Assumption, ...],
        aside: int,
    ) -> PathResult:
        """Return the result; warn if many rows were set aside."""
        if aside > NOTABLE * self.log.n_rows:
            warnings.warn(
                f"{aside:,} of {self.log.n_rows:,} rows could practically be in one arm only"
                f" (probability outside [{self.floor:g}, {1 - self.floor:g}]). They are set aside:"
                " the effects speak of the others.",
                OverlapWarning,
                stacklevel=4,
            )
        config = {"effect": self.identified.strategy, "mediator": self.identified.mediators[0],
                  "n_folds": self.n_folds, "sampled": list(self.sampled)}  # fmt: skip
        found = PathResult(
            kind="paths",
            title=title,
            question=asked,
            answer=answer,
            rows=tuple(rows),
            tables=tables,
            assumptions=assumptions,
            notes=(self.identified.words,),
            graph_dot=self.identified.graph_dot,
            adjustment=self.identified.adjustment,
            provenance=provenance(self.log, self.random_state, config),
        )
        found._internals = {"estimate": joint}
        return found


def supported(exposed: Floats, exposure: Any, floor: float) -> NDArray[np.bool_]:
    """Return the rows whose covariates leave both arms possible (n,).

    Raises
    ------
    OverlapError
        If no such row is in one of the arms.
    """
    inside = (exposed >= floor) & (exposed <= 1.0 - floor)
    if len(np.unique(np.asarray(exposure)[inside])) < 2:
        raise OverlapError(
            f"Of {len(exposed):,} rows {int(inside.sum()):,} could be in either arm given their"
            " covariates, none in one of the arms: nobody is left to compare."
        )
    return np.asarray(inside)


def ledger(identified: Estimand, direct: Row, *more: Assumption) -> tuple[Assumption, ...]:
    """Return what the graph assumes, with the figure of a hidden cause, and `more`."""
    named = "no unmeasured confounding of the mediator"
    return (
        *(
            Assumption(
                name=name,
                statement=statement,
                status=status,
                evidence=hidden_cause(direct) if name == named else "",
            )
            for name, statement, status in identified.assumptions
        ),
        *more,
    )


def hidden_cause(direct: Row) -> str:
    """Return what a hidden cause of mediator and outcome would have to do, in words.

    VanderWeele (2010), "Bias formulas for sensitivity analysis for direct and indirect effects": a
    hidden cause that moves the outcome by g, and whose mean differs by d between the arms among
    rows of one mediator and the same covariates, moves the direct effect by g d; where the total
    effect is right, the indirect one by -g d.

    Examples
    --------
    >>> hidden_cause(Row(label="direct", value=0.5, lower=0.4, upper=0.6))[-66:]
    '0.5 would explain the direct effect away, 0.4 make it not certain.'
    """
    if direct.value is None:
        return ""
    text = (
        "A hidden cause that moves the outcome by g, and differs by d between the arms among rows"
        " of one mediator and the same covariates, moves the direct effect by g x d (VanderWeele"
        f" 2010): g x d = {format_cell(direct.value)} would explain the direct effect away"
    )
    if direct.lower is None or direct.upper is None:
        return f"{text}."
    if direct.lower <= 0.0 <= direct.upper:
        return f"{text}; its interval includes zero already."
    nearest = direct.lower if direct.value > 0 else direct.upper
    return f"{text}, {format_cell(nearest)} make it not certain."


def overlap(aside: int, n_rows: int, evidence: str = "") -> Assumption:
    """Return the assumption that both arms were possible before the mediator."""
    return Assumption(
        name="overlap",
        statement="Every row could have been in either arm given its covariates, and in each arm"
        " have had any value of the mediator that it is given.",
        status="tested",
        evidence=f"{aside:,} of {n_rows:,} rows could be in one arm only and are set aside."
        f" {evidence}".strip(),
    )


def weight_words(weights: Floats) -> str:
    """Return how far the largest weights dominate.

    Examples
    --------
    >>> weight_words(np.array([1.0, 1.0, 0.0]))
    'The weights of 2 rows are worth 2 equal ones; the largest holds 50.00% of them.'
    """
    used = weights[weights > 0.0]
    if not len(used):
        return ""
    worth = float(used.sum() ** 2 / (used**2).sum())
    return (
        f"The weights of {len(used):,} rows are worth {worth:,.0f} equal ones; the largest holds"
        f" {used.max() / used.sum():.2%} of them."
    )


def bars(name: str, title: str, rows: Sequence[Row], caption: str) -> Table:
    """Return the parts as a table to draw."""
    return Table(
        name=name,
        title=title,
        columns=("part", "value"),
        rows=tuple((row.label, row.value) for row in rows),
        caption=caption,
        figure="bars",
        x="part",
        y=("value",),
    )
