"""A first fit waits for no library that it does not use."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import pandas as pd
import causalrec as cr
events = pd.DataFrame({"user_id": [0, 0, 1, 2], "item_id": [0, 1, 1, 0], "rating": [1.0, 2, 3, 4]})
log = cr.InteractionLog(events, outcome="rating", kind="ratings")
cr.DebiasedMF(n_factors=1).fit(log, cr.KnownPropensity(0.5)).recommend(k=1)
print(" ".join(sys.modules))
"""


def test_a_small_fit_loads_no_statistics_no_learning_library_and_no_compiler() -> None:
    run = subprocess.run(
        [sys.executable, "-c", CODE], check=True, capture_output=True, encoding="utf-8"
    )
    loaded = set(run.stdout.split())
    # A second or more together, which the fit itself does not take.
    heavy = {"sklearn", "scipy.stats", "scipy.optimize", "numba", "networkx", "dowhy", "econml"}
    assert not heavy & loaded
