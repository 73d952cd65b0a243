"""The log of a recommender: rows of events, users and items, integer-coded and checked once."""

from __future__ import annotations

from causalrec.interactions._cells import ObservedCells
from causalrec.interactions._columns import Columns, Kind
from causalrec.interactions._log import InteractionLog
from causalrec.interactions._read import read_log
from causalrec.interactions._split import SplitPart

__all__ = [
    "Columns",
    "InteractionLog",
    "Kind",
    "ObservedCells",
    "SplitPart",
    "read_log",
]
