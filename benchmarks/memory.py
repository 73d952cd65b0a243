"""Peak memory of the whole chain on 138,493 users, 26,744 items and 18 million ratings.

    python benchmarks/memory.py [SHARE OF THE USERS]

The grid has 3.7 billion cells (30 GB as doubles); nothing of its size may exist. A log, popularity
propensities, doubly robust factors (32, single precision), lists. Prints the peak after each stage.
"""

from __future__ import annotations

from _timing import check, say_versions  # before numpy

# isort: split

import resource
import sys
import time

import numpy as np
import pandas as pd

import causalrec as cr

USERS, ITEMS, RATINGS = 138_493, 26_744, 18_000_000
BLOCK = 500
LIMIT = 3.0


def peak() -> float:
    """Return the largest memory this process has had, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def draw(n_users: int, seed: int = 0) -> pd.DataFrame:
    """Return ratings observed by activity times popularity, a block of users at a time."""
    rng = np.random.default_rng(seed)
    taste, trait = rng.normal(size=(n_users, 4)) * 0.3, rng.normal(size=(ITEMS, 4)) * 0.5
    active, popular = rng.gamma(0.8, size=n_users), rng.gamma(0.4, size=ITEMS)
    active *= RATINGS * (n_users / USERS) / (active.sum() * popular.sum())
    parts = []
    for at in range(0, n_users, BLOCK):
        block = slice(at, min(at + BLOCK, n_users))
        p = np.outer(active[block], popular)
        row, item = np.nonzero(rng.random(p.shape, dtype=np.float32) < p)
        user = row + at
        mean = 3.5 + np.einsum("ij,ij->i", taste[user], trait[item])
        rating = (mean + rng.normal(size=len(user))).astype(np.float32)
        parts.append((user.astype(np.int32), item.astype(np.int32), rating))
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
    names = ("user_id", "item_id", "rating")
    return pd.DataFrame(dict(zip(names, joined, strict=True)), copy=False)


def main() -> None:
    say_versions("pandas")
    share = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    n_users = int(USERS * share)
    events = draw(n_users)
    print(f"  {len(events):,} ratings of {n_users:,} users and {ITEMS:,} items")
    began = time.process_time()

    def say(stage: str) -> None:
        print(f"  {stage:45} peak {peak():5.2f} GB, {time.process_time() - began:6.0f} s CPU")

    say("events drawn")
    log = cr.InteractionLog(events, outcome="rating", kind="ratings")
    del events
    say("log")
    propensity = cr.PropensityModel(method="independence").fit(log)
    say("propensities")
    model = cr.DebiasedMF("mrdr", n_factors=32, n_sweeps=5, dtype="float32", regularization=16.0)
    model.fit(log, propensity=propensity)
    say(f"mrdr: {model.n_sweeps_} weighted and DR sweeps ({model.solver_path_})")
    lists = model.recommend(model.user_ids_[:20_000], k=10)
    say(f"{len(lists):,} places of lists")
    check(f"the whole chain stays below {LIMIT:g} GB", peak() < LIMIT)


if __name__ == "__main__":
    main()
