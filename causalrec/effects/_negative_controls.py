"""Negative controls of a refutation: those that are named, else those that the graph declares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from causalrec.effects._adjustment import Floats
from causalrec.errors import DataError
from causalrec.graph import CausalGraph

if TYPE_CHECKING:
    from causalrec.interactions import InteractionLog

OUTCOME, EXPOSURE = "negative-control outcome", "negative-control exposure"
_KINDS = {"negative_control_outcome": OUTCOME, "negative_control_exposure": EXPOSURE}


@dataclass(frozen=True)
class Control:
    """A column to test, what it is, and the label of its row."""

    column: str
    kind: str
    label: str


def controls_to_test(
    graph_dot: str,
    adjustment: Sequence[str],
    log: InteractionLog,
    named: dict[str, str | None],
) -> tuple[tuple[Control, ...], list[str]]:
    """Return the controls to test, and notes on what the declared ones can show.

    A named column stands in for the declared controls of its kind. What the graph itself joins to
    the other end, and what has no column in the log, is not tested, and a note says so.
    """
    found: list[tuple[str, str]] = [(kind, name) for kind, name in named.items() if name]
    notes = []
    for one in CausalGraph.from_dot(graph_dot).negative_controls(adjustment):
        kind = _KINDS[one.role]
        if named[kind]:
            continue
        if not one.valid:
            notes.append(f"Declared in the graph: {one.words} Not tested.")
        elif one.column not in {*log.events, *log.users, *log.items}:
            notes.append(
                f"The graph declares {one.node} a {kind}, but the log has no column"
                f" {one.column!r}: not tested."
            )
        else:
            found.append((kind, one.column))
            notes.append(f"Declared in the graph: {one.words}")
    kinds = [kind for kind, _ in found]
    controls = (
        Control(column, kind, kind if kinds.count(kind) == 1 else f"{kind} {column}")
        for kind, column in sorted(found, key=lambda pair: (pair[0] == EXPOSURE, pair[1]))
    )
    return tuple(controls), notes


def numbers(log: InteractionLog, control: Control) -> Floats:
    """Return the values of a control, one a row of the log.

    Raises
    ------
    DataError
        If they are no numbers, or a control exposure is not 0 or 1 with both occurring.
    """
    name, values = control.column, log.column(control.column)
    if values.dtype.kind not in "iufb":
        raise DataError(
            f"The negative control {name!r} must be a column of numbers, not {values.dtype}."
        )
    found = values.to_numpy(dtype=np.float64)
    if control.kind == EXPOSURE and not (
        np.isin(found, (0.0, 1.0)).all() and found.min() < found.max()
    ):
        raise DataError(
            f"The negative-control exposure {name!r} must be 0 or 1, and both must occur."
        )
    return found
