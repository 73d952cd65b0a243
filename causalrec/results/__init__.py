"""The result model and its schema, assumptions, and disclosure control."""

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

__all__ = [
    "SCHEMA_VERSION",
    "Assumption",
    "Provenance",
    "Result",
    "Row",
    "Table",
    "format_cell",
    "format_row",
]
