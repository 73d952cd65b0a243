"""The causal graph as a file of its own: the picture of a report, with the style it needs."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from causalrec.errors import GraphError
from causalrec.reporting._graph_picture import draw_graph

_STYLE = Path(__file__).resolve().parent / "templates" / "style.css.j2"
_DARK = r"@media \(prefers-color-scheme: dark\) \{.*?^\}"
_NEEDED = re.compile(rf"^(?:svg [^\n]*|:root \{{.*?^\}}|{_DARK})$", re.MULTILINE | re.DOTALL)


def graph_svg(dot: str, adjustment: Collection[str] = ()) -> str:
    """Return a graph as an SVG document that any browser or editor opens.

    Parameters
    ----------
    dot : str
        The graph as DOT text.
    adjustment : collection of str
        Nodes to mark as adjusted for.

    Raises
    ------
    GraphError
        If the text is empty or not a graph.

    Examples
    --------
    >>> graph_svg("digraph { age -> bought }").startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    True
    """
    picture = draw_graph(dot, adjustment, identity="graph")
    if picture is None:
        raise GraphError("There is no graph to draw: the text is empty.")
    start, body = str(picture).split(">", 1)
    style = "\n".join(_NEEDED.findall(_STYLE.read_text(encoding="utf-8")))
    return (
        start.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
        + f">\n<style><![CDATA[\n{style}\n]]></style>\n"
        + f'<rect width="100%" height="100%" class="cover"/>{body}\n'
    )
