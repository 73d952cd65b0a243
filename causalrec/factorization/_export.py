"""Factors as files that an index of nearest neighbours reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from causalrec.errors import ModelFileError

if TYPE_CHECKING:
    import pandas as pd

    from causalrec.factorization._common import Floats
    from causalrec.factorization._state import State

README = """Vectors of {m} users and {n} items, {d} numbers each, float32.
The inner product of a user's vector with an item's is the prediction (not cut to the range of the
outcome). Index items.npy for maximum inner product and ask with rows of users.npy.
Row r of a .npy file belongs to the id in row r of the .parquet file of the same name.
"""


def export_factors(state: State, directory: Path) -> Path:
    """Write the vectors; see `DebiasedMF.export_factors`."""
    if directory.exists() and not directory.is_dir():
        raise ModelFileError(f"{directory} is a file: export_factors writes into a directory.")
    directory.mkdir(parents=True, exist_ok=True)
    left, right = state.low_rank
    for name, ids, vectors in (
        ("users", state.user_ids, left),
        ("items", state.item_ids, right),
    ):
        _write(directory, name, ids, np.ascontiguousarray(vectors, dtype=np.float32))
    text = README.format(m=len(left), n=len(right), d=left.shape[1])
    (directory / "README.txt").write_text(text, encoding="utf-8")
    return directory


def _write(directory: Path, name: str, ids: pd.Index, vectors: Floats) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    np.save(directory / f"{name}.npy", vectors, allow_pickle=False)
    try:
        labels = pa.array(ids.tolist())
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # Ids of several types, or tuples: their text is what a file can hold.
        labels = pa.array([str(one) for one in ids])
    flat = pa.array(vectors.ravel())
    column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    pq.write_table(pa.table({"id": labels, "vector": column}), directory / f"{name}.parquet")
