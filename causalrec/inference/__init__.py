"""Inference for numbers made of interactions: clusters, intervals, multiplicity, bounds.

Public: bring your own nuisances and get this inference. See `Estimate`.
"""

from causalrec.inference._cells import CELLS, CellTotals
from causalrec.inference._estimate import Estimate
from causalrec.inference._multiplicity import benjamini_hochberg, holm

__all__ = [
    "CELLS",
    "CellTotals",
    "Estimate",
    "benjamini_hochberg",
    "holm",
]
