"""Ids as JSON and back, with their types: 1, "1" and (1, "a") stay three different ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from causalrec.errors import ModelFileError

if TYPE_CHECKING:
    import pandas as pd

_PLAIN = {"bool": bool, "int": int, "float": float, "str": str}
_DTYPES = ("int", "uint", "float", "bool", "str", "string", "object", "datetime64")


class Ids(BaseModel):
    """An id map in a file: `tags` is one type name for all, or one a value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: str
    tags: str | list[str]
    values: list[Any]


def ids_to_json(index: pd.Index, entity: str) -> Ids:
    """Return an id map as JSON types.

    Raises
    ------
    ModelFileError
        If an id is neither bool, int, float, str, a timestamp, a UUID, nor a tuple of these.

    Examples
    --------
    >>> import pandas as pd
    >>> ids_to_json(pd.Index(["a", "b"], dtype=object), "user").tags
    'str'
    """
    tagged = [_encode(value, entity) for value in index.tolist()]
    tags = [tag for tag, _ in tagged]
    uniform = len(set(tags)) == 1
    return Ids(
        dtype=str(index.dtype),
        tags=tags[0] if uniform else tags,
        values=[value for _, value in tagged],
    )


def _encode(value: Any, entity: str) -> tuple[str, Any]:
    import pandas as pd

    for tag, kind in _PLAIN.items():
        if type(value) is kind:
            return tag, value
    if isinstance(value, pd.Timestamp):
        return "timestamp", value.isoformat()
    if type(value) is UUID:
        return "uuid", str(value)
    if isinstance(value, tuple):
        return "tuple", [list(_encode(part, entity)) for part in value]
    raise ModelFileError(
        f"The {entity} id {value!r} is a {type(value).__name__}, which a model file cannot hold."
        " Use numbers, text, timestamps, UUIDs or tuples of them as ids (str(id), for example)."
    )


def ids_from_json(ids: Ids) -> pd.Index:
    """Return the id map; the inverse of `ids_to_json`.

    Raises
    ------
    ModelFileError
        If a type is unknown, a value is not of its type, or an id occurs twice.
    """
    import pandas as pd

    tags = [ids.tags] * len(ids.values) if isinstance(ids.tags, str) else ids.tags
    if len(tags) != len(ids.values):
        raise ModelFileError(f"{len(tags):,} types for {len(ids.values):,} ids in the model file.")
    values = [_decode(tag, value) for tag, value in zip(tags, ids.values, strict=True)]
    dtype = ids.dtype if ids.dtype.startswith(_DTYPES) else "object"
    try:
        if "tuple" in tags:
            index = pd.Index(values, dtype=object, tupleize_cols=False)
        else:
            index = pd.Index(values, dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelFileError(f"The ids of the model file are not {ids.dtype}: {error}") from None
    if not index.is_unique:
        raise ModelFileError("An id occurs twice in the model file.")
    return index


def _decode(tag: str, value: Any) -> Any:
    import pandas as pd

    if tag in _PLAIN and type(value) is _PLAIN[tag]:
        return value
    try:
        if tag == "timestamp":
            return pd.Timestamp(value)
        if tag == "uuid":
            return UUID(value)
        if tag == "tuple":
            return tuple(_decode(inner, part) for inner, part in value)
    except (TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(
            f"The id {value!r} of the model file is not a {tag}: {error}"
        ) from None
    raise ModelFileError(f"The id {value!r} of the model file is not a {tag!r}.")
