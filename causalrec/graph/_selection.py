"""Rows selected into the log: of whom does the answer speak, and could it speak of everybody?"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from causalrec.graph import _paths
from causalrec.graph._vocabulary import listed

if TYPE_CHECKING:
    from causalrec.graph._model import CausalGraph


def beyond_selection(
    graph: CausalGraph, exposure: str, outcome: str, adjustment: Collection[str]
) -> bool:
    """Whether the effect given the adjustment set is the same in selected rows and in all.

    It is where the outcome is independent of the selection given exposure and adjustment set
    (Bareinboim & Tian 2015, theorem 1 with the set in place of their Z).
    """
    given = {exposure, *adjustment}
    return all(
        _paths.open_path(graph.edges, node, outcome, given) is None
        for node in graph.with_role("selection")
        if node not in given
    )


def selection_words(
    graph: CausalGraph, exposure: str, outcome: str, adjustment: Collection[str]
) -> str:
    """Say of whom an effect from selected rows speaks; empty where nothing selects rows."""
    selection = graph.with_role("selection")
    if not selection:
        return ""
    words = f"It is the effect among the rows that {listed(selection)} let into the log."
    if beyond_selection(graph, exposure, outcome, adjustment):
        if not adjustment:
            return f"{words} The graph says that it is the effect for everybody as well."
        return (
            f"{words} For everybody, average it over {listed(adjustment)} as they are in all rows,"
            " selected or not: the graph says that rows alike in them have the same effect."
        )
    node, path = next(
        (node, path)
        for node in selection
        if (path := _paths.open_path(graph.edges, node, outcome, {exposure, *adjustment}))
    )
    shown = _paths.arrows(path, graph.edges, {exposure, *adjustment})
    return (
        f"{words} It says nothing of everybody: {node} and {outcome} stay connected ({shown}) among"
        " rows alike in exposure and covariates."
    )
