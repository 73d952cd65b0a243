"""Which paths are open: d-separation with a witness, by breadth-first search.

`networkx` says whether two nodes are separated; a refusal must also say *how* they are connected.
The search is Bayes ball over states (node, direction of arrival): Shachter (1998), "Bayes-Ball:
The Rational Pastime". Its first hit is a shortest open path.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

State = TypeVar("State")
Edge = tuple[str, str]
Neighbours = Mapping[str, Sequence[str]]


def neighbours(edges: Iterable[Edge]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the parents and the children of every node that has some, sorted."""
    parents: dict[str, list[str]] = {}
    children: dict[str, list[str]] = {}
    for cause, effect in sorted(edges):
        parents.setdefault(effect, []).append(cause)
        children.setdefault(cause, []).append(effect)
    return parents, children


def reachable(following: Neighbours, start: Iterable[str]) -> frozenset[str]:
    """Return the nodes reached from `start`, which belong to them.

    Examples
    --------
    >>> parents, children = neighbours([("a", "b"), ("b", "c")])
    >>> sorted(reachable(children, ["b"])), sorted(reachable(parents, ["b"]))
    (['b', 'c'], ['a', 'b'])
    """
    found = set(start)
    queue = list(found)
    while queue:
        for node in following.get(queue.pop(), ()):
            if node not in found:
                found.add(node)
                queue.append(node)
    return frozenset(found)


def directed_path(children: Neighbours, source: str, target: str) -> tuple[str, ...] | None:
    """Return a shortest path along the arrows, or None."""
    came_from: dict[str, str | None] = {source: None}
    queue = deque([source])
    while queue:
        node = queue.popleft()
        if node == target:
            return _walk_back(came_from, node)
        for child in children.get(node, ()):
            if child not in came_from:
                came_from[child] = node
                queue.append(child)
    return None


def open_path(
    edges: Collection[Edge], source: str, target: str, given: Collection[str] = ()
) -> tuple[str, ...] | None:
    """Return a shortest path that `given` leaves open between two nodes, or None.

    Parameters
    ----------
    edges : collection of (cause, effect)
        The arrows of an acyclic graph.
    source, target : str
        Two different nodes outside `given`.
    given : collection of str
        What is conditioned on. It closes chains and forks, and opens colliders.

    Returns
    -------
    tuple of str, or None
        The nodes of the path, from `source` to `target`; None where `given` separates them.

    Examples
    --------
    >>> fork = [("taste", "exposure"), ("taste", "click")]
    >>> open_path(fork, "exposure", "click")
    ('exposure', 'taste', 'click')
    >>> open_path(fork, "exposure", "click", ["taste"]) is None
    True
    """
    parents, children = neighbours(edges)
    blocked = frozenset(given)
    opened = reachable(parents, blocked)  # a collider is open if it or an effect of it is given
    # A state is (node, up): "up" means that the node was entered against an arrow, from a child.
    start = (source, True)
    came_from: dict[tuple[str, bool], tuple[str, bool] | None] = {start: None}
    queue = deque([start])
    while queue:
        state = queue.popleft()
        node, up = state
        if node == target:
            return tuple(name for name, _ in _walk_back(came_from, state))
        following: list[tuple[str, bool]] = []
        if node not in blocked:
            following += [(child, False) for child in children.get(node, ())]
        if (up and node not in blocked) or (not up and node in opened):
            following += [(parent, True) for parent in parents.get(node, ())]
        for reached in following:
            if reached not in came_from:
                came_from[reached] = state
                queue.append(reached)
    return None


def _walk_back(came_from: Mapping[State, State | None], last: State) -> tuple[State, ...]:
    path = [last]
    while (before := came_from[path[-1]]) is not None:
        path.append(before)
    return tuple(reversed(path))


def arrows(path: Sequence[str], edges: Collection[Edge], given: Collection[str] = ()) -> str:
    """Return a path in words, with the arrows of the graph.

    Examples
    --------
    >>> edges = [("a", "c"), ("b", "c"), ("c", "d")]
    >>> arrows(["a", "c", "b"], edges, given=["c"])
    'a -> c <- b (c is adjusted for, which opens it)'
    >>> arrows(["a", "c", "b"], edges, given=["d"])
    'a -> c <- b (d is adjusted for, an effect of c, which opens it)'
    """
    known = frozenset(edges)
    text = path[0]
    for before, node in pairwise(path):
        text += f" -> {node}" if (before, node) in known else f" <- {node}"
    notes = []
    for node in colliders(path, known):
        if node in given:
            notes.append(f"{node} is adjusted for, which opens it")
        else:
            below = reachable(neighbours(known)[1], [node])
            witness = min(below & frozenset(given), default="")
            notes.append(f"{witness} is adjusted for, an effect of {node}, which opens it")
    return f"{text} ({'; '.join(notes)})" if notes else text


def colliders(path: Sequence[str], edges: Collection[Edge]) -> list[str]:
    """Return the inner nodes of a path at which two arrows meet."""
    return [
        node
        for before, node, after in zip(path, path[1:], path[2:], strict=False)
        if (before, node) in edges and (after, node) in edges
    ]
