"""The measures of an audit, by hand and against their formulas written out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import causalrec as cr
from causalrec.audits import browsing_weight, gini
from causalrec.audits._attributes import read_attribute
from causalrec.audits._exposure import exposure_by_group
from causalrec.audits._gini import concentration, uniform_random
from causalrec.audits._lists import lists_of_log, lists_of_table
from causalrec.errors import DataError, StudyError
from causalrec.inference import CELLS, CellTotals


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
    items = pd.DataFrame(
        {"item_id": list("abcd"), "kind": ["x", "x", "y", "y"], "owner": ["P", "P", "Q", "R"]}
    )
    return cr.InteractionLog(events, users=users, items=items, provider="owner")


TOY_LISTS = pd.DataFrame(
    {
        "user_id": [1, 1, 2, 2, 3, 3, 4, 4],
        "item_id": ["c", "d", "c", "b", "b", "c", "a", "d"],
        "rank": [1, 2, 1, 2, 1, 2, 1, 2],
    }
)


def toy_audit(**options: object) -> cr.Result:
    return cr.audit(
        toy_log(),
        TOY_LISTS,
        user_groups="plan",
        item_groups="kind",
        estimators="naive",
        min_cell=1,
        tail_share=0.5,
        **options,
    )


def test_popularity_by_hand() -> None:
    found = toy_audit()
    # phi = (3, 2, 1, 0): lists mean .5, 1.5, 1.5, 1.5; profiles 2.5, 2.5, 3, 1
    assert found["average popularity (ARP@10)"].value == pytest.approx((0.5 + 1.5 * 3) / 4)
    assert found["share of the tail (APLT@10)"].value == pytest.approx((1 + 0.5 + 0.5 + 0.5) / 4)
    assert found["popularity lift: everybody"].value == pytest.approx(1.25 / 2.25 - 1)
    assert found["popularity lift: plan=free"].value == pytest.approx(1.0 / 2.5 - 1)
    assert found["popularity lift: plan=paid"].value == pytest.approx(1.5 / 2.0 - 1)
    assert any("2 least popular of 4 items (50%" in note for note in found.notes)


def test_an_item_that_nobody_knows_counts_as_popularity_zero() -> None:
    lists = pd.DataFrame({"user_id": [1], "item_id": ["d"], "rank": [1]})
    found = cr.audit(toy_log(), lists, min_cell=1)
    assert found["average popularity (ARP@10)"].value == 0.0


def test_exposure_and_parity_by_hand() -> None:
    found = toy_audit()
    v2 = 1 / np.log2(3)
    x, y = (v2 + 1 + 1) / 8, (1 + v2 + 1 + v2 + v2) / 8  # b second, b first, a first; the rest
    assert found["exposure@10: kind=x"].value == pytest.approx(x)
    assert found["exposure@10: kind=y"].value == pytest.approx(y)
    assert found["exposure@10 ratio, kind: y / x"].value == pytest.approx(y / x)


def test_patience_and_equal_browsing() -> None:
    assert toy_audit(browsing="equal")["exposure@10: kind=x"].value == pytest.approx(3 / 8)
    assert toy_audit(browsing=0.5)["exposure@10: kind=x"].value == pytest.approx(2.5 / 8)
    with pytest.raises(StudyError, match="a patience between 0 and 1"):
        browsing_weight([1], 1.5)


def test_coverage_and_gini_by_hand() -> None:
    found = toy_audit(browsing="equal")
    counts = [1, 2, 3, 2]
    assert found["coverage@10"].value == 1.0
    assert found["gini of exposure@10"].value == pytest.approx(literal_gini(counts))


def literal_gini(x: list[float]) -> float:
    """Mean absolute difference over twice the mean, as two loops."""
    n = len(x)
    return sum(abs(a - b) for a in x for b in x) / (2 * n * n * (sum(x) / n))


def test_gini_equals_the_mean_absolute_difference() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 7, 60):
        x = rng.gamma(0.5, size=n).tolist()
        assert gini(x) == pytest.approx(literal_gini(x), abs=1e-12)
    assert gini(np.full(30, 2.5)) == pytest.approx(0.0, abs=1e-12)
    assert gini([0, 0, 0, 4]) == 0.75
    assert np.isnan(gini([0, 0]))
    with pytest.raises(DataError, match="1 amounts are negative"):
        gini([-1, 2])


def test_weights_of_gini_repeat_items() -> None:
    rng = np.random.default_rng(1)
    x, w = rng.random(20), rng.integers(0, 4, size=20)
    assert gini(x, w) == pytest.approx(gini(np.repeat(x, w)), abs=1e-12)


def random_lists(n_users: int, n_items: int, k: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    drawn = np.argsort(rng.random((n_users, n_items)), axis=1)[:, :k]
    return pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(n_users), k),
            "item_id": drawn.ravel(),
            "rank": np.tile(np.arange(k) + 1, n_users),
        }
    )


def big_log(n_users: int, n_items: int, **items: object) -> cr.InteractionLog:
    events = pd.DataFrame({"user_id": [0, 1], "item_id": [0, 1], "rating": [1.0, 2.0]})
    provider = "owner" if "owner" in items else None
    return cr.InteractionLog(
        events,
        users=pd.DataFrame({"user_id": np.arange(n_users)}),
        items=pd.DataFrame({"item_id": np.arange(n_items), **items}),
        provider=provider,
    )


def test_uniform_lists_reach_their_own_reference() -> None:
    log = big_log(943, 1682)
    lists = lists_of_table(random_lists(943, 1682, 10, 3), log, log, k=10, browsing="equal")
    found = concentration(lists, 1682, None, sampled=("user", "item"), level=0.95, random_state=0)
    # An item's count is binomial: E|X - Y| / (2 E X) for two of them is .236, far from 0.
    law = stats.binom(943, 10 / 1682).pmf(np.arange(60))
    apart = np.abs(np.subtract.outer(np.arange(60), np.arange(60)))
    assert found.reference == pytest.approx(law @ apart @ law / (2 * 943 * 10 / 1682), abs=0.002)
    assert found.rows[0].value == pytest.approx(found.reference, abs=0.01)
    assert found.rows[0].lower < found.reference < found.rows[0].upper


def test_random_reference_has_no_repeats_within_a_list() -> None:
    log = big_log(50, 12)
    lists = lists_of_table(random_lists(50, 12, 12, 0), log, log, k=12, browsing="log")
    drawn = uniform_random(lists, 12, np.random.default_rng(0))
    assert (np.sort(drawn.items.reshape(50, 12), axis=1) == np.arange(12)).all()


@pytest.mark.parametrize("sampled", [("user", "item"), ("user",)])
@pytest.mark.parametrize("by_provider", [False, True])
def test_exposure_has_the_influence_of_the_dense_grid(
    by_provider: bool, sampled: tuple[str, ...]
) -> None:
    rng = np.random.default_rng(4)
    owner = rng.integers(0, 12, size=40)
    column = np.where(owner < 5, "small", "large") if by_provider else rng.choice(["s", "l"], 40)
    log = big_log(30, 40, owner=owner, group=column)
    lists = lists_of_table(random_lists(30, 40, 6, 1), log, log, k=6, browsing="log")
    attribute = read_attribute(
        log, "group", entity="item", min_cell=1, active_users=np.ones(30, dtype=bool)
    )
    assert attribute.by_provider == by_provider
    found = exposure_by_group(lists, log, attribute, sampled, 0.95)
    dense = np.zeros((30, 40))
    dense[lists.users, lists.items] = lists.weight
    inside = np.eye(2)[attribute.codes]
    totals = CellTotals(
        30,
        40,
        4,
        item_clusters=log.provider if by_provider else None,
        item_dimension="provider" if by_provider else "item",
    )
    grouped = np.broadcast_to(inside, (30, 40, 2))
    totals.add(slice(0, 30), np.dstack([dense[:, :, None] * grouped, grouped]))
    names = tuple("provider" if by_provider and s == "item" else s for s in sampled)
    expected = totals.to_estimate([0, 1], [2, 3], labels=attribute.levels, sampled=names)
    np.testing.assert_allclose(found.value, expected.value, rtol=1e-12)
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(found.interval(), expected.interval(), rtol=1e-9)
    assert CELLS == -1


def test_slates_and_positions_of_a_log_are_its_lists() -> None:
    world = cr.simulate("social", n_users=60, n_items=30, random_state=0)
    lists = lists_of_log(world.log, browsing="log")
    assert lists is not None
    assert len(lists.users) == world.log.n_rows
    np.testing.assert_allclose(lists.weight, 1 / np.log2(1 + lists.rank))
    found = cr.audit(world.log, item_groups="topic", min_cell=1)
    shown = world.log.items["topic"].value_counts()
    events = world.events.assign(v=1 / np.log2(1 + world.events["position"]))
    topic = world.log.column("topic")
    for name in shown.index:
        mean = events["v"][(topic == name).to_numpy()].sum() / (shown[name] * 60)
        assert found[f"exposure: topic={name}"].value == pytest.approx(mean)
