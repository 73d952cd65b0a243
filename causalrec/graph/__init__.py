"""Declared causal graphs: read from DOT, reviewed as DOT, and asked what they identify.

A graph is a file that people draw, review and keep under version control. It decides which
columns are adjusted for; a graph that does not identify what is asked is refused, with the open
path in words.
"""

from causalrec.graph._declared import NegativeControl
from causalrec.graph._estimand import Covariate, Estimand, PathEffect, Query
from causalrec.graph._files import checked_graph, graph_comment, list_graphs, load_graph
from causalrec.graph._model import CausalGraph
from causalrec.graph._node import Node

__all__ = [
    "CausalGraph",
    "Covariate",
    "Estimand",
    "NegativeControl",
    "Node",
    "PathEffect",
    "Query",
    "checked_graph",
    "graph_comment",
    "list_graphs",
    "load_graph",
]
