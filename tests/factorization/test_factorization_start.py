"""A first fit waits for no library that it does not use."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

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
    heavy = {"sklearn", "scipy", "numba", "duckdb", "networkx", "dowhy", "econml"}
    assert not heavy & loaded
    # Nor what tunes, explains and estimates: each module costs a millisecond.
    idle = {
        "causalrec.factorization._tuning",
        "causalrec.factorization._explain",
        "causalrec.inference",
        "causalrec.nuisances._model",
        "causalrec.results",
    }
    assert not idle & loaded


@pytest.mark.parametrize("room", ["factorization", "nuisances"])
def test_every_name_of_a_room_loads_where_it_is_used(room: str) -> None:
    module = importlib.import_module(f"causalrec.{room}")
    assert sorted(module._HOME) == sorted(module.__all__) == sorted(dir(module))
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing_like_it'"):
        module.nothing_like_it  # noqa: B018


THREADS = """
import sys
import numpy as np
from threadpoolctl import threadpool_info
from causalrec.threads import one_blas_thread

def threads():
    return sorted(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")

with one_blas_thread(scipy=False):
    assert "scipy" not in sys.modules
    print(threads())
import scipy.linalg  # a second library, which the first context has not seen
with one_blas_thread(scipy=False):
    print(threads())
with one_blas_thread():
    print(threads())
"""


def test_a_blas_that_is_loaded_later_is_held_to_one_thread_as_well() -> None:
    run = subprocess.run(
        [sys.executable, "-c", THREADS], check=True, capture_output=True, encoding="utf-8"
    )
    counts = [set(line.strip("[]").split(", ")) for line in run.stdout.splitlines()]
    assert counts == [{"1"}, {"1"}, {"1"}]
