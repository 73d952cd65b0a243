"""Make the Open Bandit sample that ships inside the package, from the owners' CSV files.

Run from the root of the checkout, with CAUSALREC_DATA naming the folder that has `open-bandit/`:

    CAUSALREC_DATA=... python tools/make_open_bandit_sample.py

It writes causalrec/_data/open_bandit.parquet (60,000 rows: two policies x three campaigns) and
causalrec/_data/open_bandit_items.parquet (the 160 items, once a policy: their hashes differ). Left
out: the index column, and the affinities of each user with the items that were not shown.
"""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from causalrec.datasets import read_bandit_folder

TARGET = Path(__file__).resolve().parents[1] / "causalrec" / "_data"


def main() -> None:
    """Write both files."""
    root = Path(os.environ["CAUSALREC_DATA"]) / "open-bandit"
    events, items = [], []
    for policy in ("bts", "random"):
        for campaign in ("all", "men", "women"):
            rows, context = read_bandit_folder(root / policy / campaign, campaign)
            for table, found in ((rows, events), (context, items)):
                table.insert(0, "policy", policy)
                table.insert(1, "campaign", campaign)
                found.append(table)
    table = pd.concat(events, ignore_index=True)
    times = pd.to_datetime(table["timestamp"], format="ISO8601").dt.tz_convert("UTC")
    table["timestamp"] = times.dt.tz_localize(None).astype("datetime64[us]")
    table = table.astype({"item_id": "int16", "position": "int8", "click": "int8"})
    table = table.astype({"user_item_affinity": "float32"})
    TARGET.mkdir(exist_ok=True)
    options = {"index": False, "compression": "zstd", "compression_level": 22}
    table.to_parquet(TARGET / "open_bandit.parquet", **options)
    everything = pd.concat(items, ignore_index=True)
    everything.to_parquet(TARGET / "open_bandit_items.parquet", **options)


if __name__ == "__main__":
    main()
