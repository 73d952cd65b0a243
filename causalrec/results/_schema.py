"""The published JSON schema of a result."""

from __future__ import annotations

from typing import Any

from causalrec.results._model import SCHEMA_VERSION, Result


def result_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) that every written result obeys.

    Returns
    -------
    dict
        The same as `docs/result.schema.json`.

    Examples
    --------
    >>> result_schema()["title"]
    'causalrec result 1.0'
    """
    schema = Result.model_json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": f"causalrec result {SCHEMA_VERSION}",
    }
