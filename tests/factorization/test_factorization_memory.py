"""The whole chain never holds anything of the size of the grid: not even a byte a cell."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest

import causalrec as cr

USERS, ITEMS, CELLS = 8_000, 5_000, 60_000


@pytest.mark.parametrize("kernel", ["scipy", "numba"])
def test_the_chain_holds_less_than_a_byte_a_cell(kernel: str) -> None:
    rng = np.random.default_rng(0)
    cells = rng.choice(USERS * ITEMS, CELLS, replace=False)
    users, items = np.divmod(np.sort(cells), ITEMS)
    events = pd.DataFrame({"user_id": users, "item_id": items, "rating": rng.normal(size=CELLS)})
    log = cr.InteractionLog(
        events,
        users=pd.DataFrame({"user_id": np.arange(USERS)}),
        items=pd.DataFrame({"item_id": np.arange(ITEMS)}),
        outcome="rating",
        kind="ratings",
    )
    model = cr.DebiasedMF("mrdr", n_factors=8, n_sweeps=3, kernel=kernel, dtype="float32")
    small = log.split(by="cell", test_size=0.9, random_state=0)[0]
    model.fit(small, propensity=0.01)  # compiles, which takes memory of its own
    tracemalloc.start()
    propensity = cr.PropensityModel(method="independence").fit(log)
    model.fit(log, propensity=propensity)
    lists = model.recommend(k=10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(lists) == 10 * USERS
    assert peak < USERS * ITEMS
