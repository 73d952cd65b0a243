"""The result model and its schema, assumptions, and disclosure control."""

from causalrec.results._disclosure import (
    DEFAULT_MIN_CELL,
    hidden_groups,
    suppress_small_cells,
    suppress_table,
)
from causalrec.results._family import multiplicity
from causalrec.results._ledger import ledger, shared_ledger
from causalrec.results._margins import Cell
from causalrec.results._model import (
    SCHEMA_VERSION,
    Assumption,
    Provenance,
    Result,
    Row,
    Table,
    format_cell,
    format_row,
)
from causalrec.results._nested import NO_LEVEL, Partition, hidden_among
from causalrec.results._provenance import provenance
from causalrec.results._rows import EstimateLike, rows_from_estimate
from causalrec.results._schema import result_schema

__all__ = [
    "DEFAULT_MIN_CELL",
    "NO_LEVEL",
    "SCHEMA_VERSION",
    "Assumption",
    "Cell",
    "EstimateLike",
    "Partition",
    "Provenance",
    "Result",
    "Row",
    "Table",
    "format_cell",
    "format_row",
    "hidden_among",
    "hidden_groups",
    "ledger",
    "multiplicity",
    "provenance",
    "result_schema",
    "rows_from_estimate",
    "shared_ledger",
    "suppress_small_cells",
    "suppress_table",
]
