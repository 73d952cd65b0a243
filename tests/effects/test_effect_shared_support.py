"""A gap between effects is taken over rows that all of its groups support."""

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import OverlapWarning

GRAPH = """digraph {
    exposed [role=exposure]; bought [role=outcome]; price [entity=item]; age [entity=user]
    price -> exposed; age -> exposed; price -> bought; age -> bought; exposed -> bought
}"""


def log_of(seed, *, young_see):
    """Return a log whose dear items have larger effects, the same for young and old."""
    rng = np.random.default_rng(seed)
    n_users, n_items = 120, 40
    young = np.arange(n_users) < n_users // 2
    dear = np.arange(n_items) >= n_items // 2
    users, items = (a.ravel() for a in np.indices((n_users, n_items)))
    p = np.full((n_users, n_items), 0.4)
    p[np.ix_(young, dear)] = young_see
    p = p[users, items]
    exposed = (rng.random(len(p)) < p).astype(int)
    bought = rng.normal(size=len(p)) + exposed * np.where(dear[items], 3.0, 1.0)
    return cr.InteractionLog(
        pd.DataFrame(
            {"user_id": users, "item_id": items, "exposed": exposed, "bought": bought, "p": p}
        ),
        users=pd.DataFrame({"user_id": np.arange(n_users), "age": np.where(young, "young", "old")}),
        items=pd.DataFrame({"item_id": np.arange(n_items), "price": np.where(dear, "2", "1")}),
        exposure="exposed",
        outcome="bought",
    )


def by_age(log):
    effect = cr.estimate_effect(log, cr.CausalGraph.from_dot(GRAPH), propensity="p", n_repeats=1)
    return effect.by("age")


def test_a_gap_of_effects_does_not_mix_groups_with_catalogues():
    with pytest.warns(OverlapWarning, match="set aside"):
        found = by_age(log_of(0, young_see=0.0))
    old, young = (found[f"age={level}"].value for level in ("old", "young"))
    gap = found["gap in age: old - young"]
    assert old - young > 0.8  # over dear and cheap items for the old, over cheap ones for the young
    assert gap.lower < 0.0 < gap.upper
    assert gap.upper - gap.lower < 0.8
    assert "items supported in every group of 'age' (20 left out)" in gap.population


def test_without_a_difference_of_support_nothing_changes():
    found = by_age(log_of(0, young_see=0.2))
    gap = found["gap in age: old - young"]
    assert gap.population == "supported rows"
    assert gap.value == pytest.approx(found["age=old"].value - found["age=young"].value)
