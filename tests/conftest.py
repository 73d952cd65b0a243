"""Fixtures shared by all rooms."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data_dir() -> Callable[[str], Path]:
    """Return the folder of a public data set by name; skip where it is not there.

    The folders are looked for under CAUSALREC_DATA, else beside the checkout.
    """

    def find(name: str) -> Path:
        root = Path(os.environ.get("CAUSALREC_DATA") or BESIDE_THE_CHECKOUT)
        if not (root / name).is_dir():
            pytest.skip(f"the data set {name!r} is not under {root} (set CAUSALREC_DATA)")
        return root / name

    return find
