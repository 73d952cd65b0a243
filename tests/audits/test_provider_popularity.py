"""Concentration and popularity of lists by hand, and the families that can be chosen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon

import causalrec as cr
from causalrec.audits import gini
from causalrec.errors import StudyError


def toy_log() -> cr.InteractionLog:
    """Four users and four items: popularity 3, 2, 1, 0 of a, b, c, d."""
    events = pd.DataFrame(
        {
            "user_id": [1, 2, 3, 1, 2, 4],
            "item_id": ["a", "a", "a", "b", "b", "c"],
            "rating": [5.0, 4.0, 3.0, 2.0, 1.0, 5.0],
        }
    )
    users = pd.DataFrame({"user_id": [1, 2, 3, 4], "plan": ["free", "free", "paid", "paid"]})
    items = pd.DataFrame({"item_id": list("abcd"), "kind": ["x", "x", "y", "y"]})
    return cr.InteractionLog(events, users=users, items=items)


TOY_LISTS = pd.DataFrame(
    {
        "user_id": [1, 1, 2, 2, 3, 3, 4, 4],
        "item_id": ["c", "d", "c", "b", "b", "c", "a", "d"],
        "rank": [1, 2, 1, 2, 1, 2, 1, 2],
    }
)


def toy_audit(lists: pd.DataFrame = TOY_LISTS, **options: object) -> cr.Result:
    chosen = {"browsing": "equal", "min_cell": 1, "tail_share": 0.5, **options}
    return cr.audit(toy_log(), lists, **chosen)


def test_concentration_by_hand() -> None:
    found = toy_audit()
    shares = np.array([1, 2, 3, 2]) / 8  # places of a, b, c, d
    assert found["herfindahl index of exposure@10"].value == pytest.approx(shares @ shares)
    assert found["entropy of exposure@10"].value == pytest.approx(-shares @ np.log(shares))
    assert found["coverage of the tail@10"].value == 1.0


def test_items_that_nobody_is_shown_count() -> None:
    lists = TOY_LISTS.assign(item_id=["a", "b"] * 4)
    found = toy_audit(lists)
    assert found["gini of exposure@10"].value == pytest.approx(gini([4, 4, 0, 0])) == 0.5
    assert found["entropy of exposure@10"].value == pytest.approx(np.log(2))
    assert found["herfindahl index of exposure@10"].value == pytest.approx(0.5)
    assert found["coverage of the tail@10"].value == 0.0


def test_uniform_exposure_has_no_concentration() -> None:
    lists = TOY_LISTS.assign(item_id=list("abbccdda"))
    found = toy_audit(lists)
    assert found["gini of exposure@10"].value == pytest.approx(0.0, abs=1e-12)
    assert found["entropy of exposure@10"].value == pytest.approx(np.log(4))
    assert found["herfindahl index of exposure@10"].value == pytest.approx(1 / 4)
    assert found["coverage@10"].value == 1.0


def test_each_is_beside_what_random_lists_give() -> None:
    rng = np.random.default_rng(0)
    n_users, n_items, k = 300, 40, 5
    events = pd.DataFrame({"user_id": [0, 1], "item_id": [0, 1], "rating": [1.0, 2.0]})
    log = cr.InteractionLog(
        events,
        users=pd.DataFrame({"user_id": np.arange(n_users)}),
        items=pd.DataFrame({"item_id": np.arange(n_items)}),
    )
    lists = pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(n_users), k),
            "item_id": np.argsort(rng.random((n_users, n_items)), axis=1)[:, :k].ravel(),
            "rank": np.tile(np.arange(k) + 1, n_users),
        }
    )
    found = cr.audit(log, lists, k=k, measures="concentration")
    for metric in ("gini", "entropy", "herfindahl index"):
        row = found[f"{metric} of exposure@5"]
        reference = found[f"{metric} of exposure@5 (uniform random lists)"]
        assert reference.lower is None
        assert "not an estimate" in reference.note
        assert row.lower <= reference.value <= row.upper


def test_places_of_the_tail_are_counted_a_list() -> None:
    found = toy_audit()
    # The tail is c and d: two places in list 1, one in each other.
    assert found["places of the tail in a list (ACLT@10)"].value == pytest.approx(5 / 4)
    assert found["share of the tail (APLT@10)"].value == pytest.approx(5 / 8)


def test_deviation_from_profiles_by_hand() -> None:
    found = toy_audit(measures="deviation", user_groups="plan", estimators="naive")
    # Of six profile cells a has three (head), b two (between), c one and d none (tail).
    profiles = np.array([[0.5, 0.5, 0], [0.5, 0.5, 0], [1, 0, 0], [0, 0, 1]])
    listed = np.array([[0, 0, 1], [0, 0.5, 0.5], [0, 0.5, 0.5], [0.5, 0, 0.5]])
    each = np.array(
        [jensenshannon(p, q, base=2) ** 2 for p, q in zip(profiles, listed, strict=True)]
    )
    label = "popularity deviation (UPD@10)"
    assert found[f"{label}: everybody"].value == pytest.approx(each.mean())
    assert found[f"{label}: plan=free"].value == pytest.approx(each[:2].mean())
    assert found[f"{label} gap, plan: paid - free"].value == pytest.approx(
        each[2:].mean() - each[:2].mean()
    )


def test_lists_drawn_from_profiles_deviate_by_their_length_alone() -> None:
    rng = np.random.default_rng(7)
    world = cr.simulate("music", n_users=300, n_items=60, density=0.4, random_state=0)
    log = world.log
    rows = rng.permutation(log.n_rows)
    table = pd.DataFrame(
        {
            "user_id": log.user_ids[log.user_codes[rows]],
            "item_id": log.item_ids[log.item_codes[rows]],
        }
    )
    table["rank"] = table.groupby("user_id").cumcount() + 1
    found = cr.audit(log, table[table["rank"] <= 5], k=5, measures="deviation")
    row = found["popularity deviation (UPD@5): everybody"]
    chance = found["popularity deviation (UPD@5): everybody (lists drawn from the profiles)"]
    assert row.value > 0.02  # not zero, though the lists are parts of the profiles themselves
    assert row.value < 1.1 * chance.value


def test_families_are_chosen_by_name() -> None:
    found = toy_audit(measures="concentration", user_groups="plan", item_groups="kind",
                      estimators="naive")  # fmt: skip
    metrics = {row.metric for row in found.rows if row.estimator == "lists"}
    assert metrics == {
        "gini of exposure@10",
        "entropy of exposure@10",
        "herfindahl index of exposure@10",
        "coverage@10",
        "coverage of the tail@10",
    }
    assert "popularity" not in {table.name for table in found.tables}
    with pytest.raises(StudyError, match="Did you mean 'concentration'"):
        toy_audit(measures=["concentrations"])


@pytest.mark.parametrize("browsing", ["log", "equal", 0.5])
def test_gini_is_that_of_lenskit(browsing: str | float) -> None:
    pytest.importorskip("lenskit", reason="LensKit is not installed")
    from lenskit.data import ItemList
    from lenskit.metrics import ExposureGini, GeometricRankWeight, ListGini, LogRankWeight

    weight = GeometricRankWeight(0.5) if browsing == 0.5 else LogRankWeight(offset=1)
    metric = ListGini(items=4) if browsing == "equal" else ExposureGini(items=4, weight=weight)
    lists = [
        ItemList(item_ids=own["item_id"].tolist(), ordered=True)
        for _, own in TOY_LISTS.groupby("user_id")
    ]
    if hasattr(metric, "create_accumulator"):
        total = metric.create_accumulator()
        for one in lists:
            total.add(metric.measure_list(one, ItemList()))
        theirs = total.accumulate()
    else:
        theirs = metric.global_aggregate([metric.compute_list_data(x, ItemList()) for x in lists])
    ours = toy_audit(browsing=browsing)["gini of exposure@10"].value
    assert ours == pytest.approx(theirs, abs=1e-6)  # theirs is in single precision
