"""Where a study keeps what it has done: content-addressed parts, published atomically.

A part is named by the hash of everything that decides its bytes (question, log, graph, versions),
so a second run finds it, a changed question does not, and a killed run touches nothing that stands.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from causalrec.errors import ModelFileError
from causalrec.results import Result

PARTS = ".parts"


def digest(content: Mapping[str, Any]) -> str:
    """Return the sha256 of a JSON-serialisable mapping, whatever the order of its keys.

    Examples
    --------
    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def write_atomically(path: Path, text: str) -> None:
    """Write text to a temporary name beside `path`, then rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


class Store:
    """The output folder of a study."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _part(self, key: str) -> Path:
        return self.folder / PARTS / f"{key[:32]}.json"

    def find(self, key: str) -> Result | None:
        """Return the result kept under this key, or None (also where the file is damaged)."""
        path = self._part(key)
        if not path.exists():
            return None
        try:
            return Result.load(path)
        except (ModelFileError, UnicodeDecodeError):
            # A part is only a shortcut: what cannot be read is computed again.
            return None

    def keep(self, key: str, result: Result) -> None:
        """Keep a finished result under its key."""
        write_atomically(self._part(key), result.to_json())
