"""Where the public data sets are: under CAUSALREC_DATA, else beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def data_folder(name: str) -> Path:
    """Return the folder of a data set, there or not."""
    return Path(os.environ.get("CAUSALREC_DATA") or BESIDE) / name
