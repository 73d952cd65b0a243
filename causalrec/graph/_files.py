"""The graphs that ship with the package, and graphs by path."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from causalrec.errors import GraphError, near_miss
from causalrec.graph._model import CausalGraph

_PACKAGE = Path(__file__).resolve().parents[1]


def _folder() -> Path:
    # The wheel carries the files inside the package; a checkout has them beside it.
    inside = _PACKAGE / "_graphs"
    return inside if inside.is_dir() else _PACKAGE.parent / "graphs"


def list_graphs() -> tuple[str, ...]:
    """Return the names of the graphs that ship with causalrec, sorted.

    Examples
    --------
    >>> "exposure_click" in list_graphs()
    True
    """
    return tuple(sorted(path.stem for path in _folder().glob("*.dot")))


def checked_graph(graph: Any) -> CausalGraph:
    """Return what was passed as `graph=`, or say how a name or a path becomes a graph.

    Raises
    ------
    GraphError
        If it is no CausalGraph.
    """
    if isinstance(graph, CausalGraph):
        return graph
    if isinstance(graph, str) and "{" in graph:
        way = "read its text with CausalGraph.from_dot(text)"
    elif isinstance(graph, str | PathLike):
        way = f"load it with load_graph({str(graph)!r})"
    else:
        way = "pass load_graph(name_or_path)"
    raise GraphError(f"graph= takes a CausalGraph, not a {type(graph).__name__}: {way}.")


def load_graph(name_or_path: str | PathLike[str]) -> CausalGraph:
    """Read a graph by its shipped name, or from a file.

    Parameters
    ----------
    name_or_path : str or path
        A name of `list_graphs()`, or the path of a Graphviz or DAGitty file (UTF-8). A path object
        or a string with a folder or an ending is always a path.

    Raises
    ------
    GraphError
        If there is no such graph or file, or its text cannot be read (with line and column).

    Examples
    --------
    >>> load_graph("exposure_click").outcome
    'purchase'
    """
    return _read(_path(name_or_path))


def _path(name_or_path: str | PathLike[str]) -> Path:
    text_given = str(name_or_path)
    if isinstance(name_or_path, str):
        if "{" in text_given:
            raise GraphError("This is the text of a graph: read it with CausalGraph.from_dot.")
        if text_given in list_graphs():
            return _folder() / f"{text_given}.dot"
    path = Path(name_or_path)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        is_file = False
    if not is_file:
        shipped = list_graphs()
        raise GraphError(
            f"There is no graph and no file {text_given!r}.{near_miss(path.stem, shipped)}"
            f" Shipped graphs: {', '.join(shipped)}. Pass one of them, or the path of a .dot file."
        )
    return path


def graph_comment(name_or_path: str | PathLike[str]) -> str:
    """Return the comment (`//`) that opens the file of a graph: where it comes from, in words.

    Empty where the file opens with something else.

    Raises
    ------
    GraphError
        As `load_graph` does.

    Examples
    --------
    >>> graph_comment("encouragement").split(" (")[0]
    'A randomised encouragement'
    """
    said = []
    for line in _text(_path(name_or_path)).splitlines():
        if not line.startswith("//"):
            break
        said.append(line.removeprefix("//").strip())
    return " ".join(said)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise GraphError(
            f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8."
        ) from None


def _read(path: Path) -> CausalGraph:
    text = _text(path)
    try:
        graph = CausalGraph.from_dot(text)
        return graph if graph.name else CausalGraph.from_dot(text, name=path.stem)
    except GraphError as error:
        raise GraphError(f"{path}: {error}") from None
