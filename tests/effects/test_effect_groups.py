"""`effect.by`: groups, gaps, few clusters, small cells, providers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.effects import EffectResult
from causalrec.errors import DataError, OverlapWarning


@pytest.fixture(scope="module")
def shop() -> Any:
    return cr.simulate("shop", n_users=500, n_items=120, random_state=4)


@pytest.fixture(scope="module")
def effect(shop: Any) -> EffectResult:
    return cr.estimate_effect(shop.log, shop.graph, n_repeats=1, n_folds=2)


def test_groups_of_users_and_their_gap(effect: EffectResult, shop: Any) -> None:
    found = effect.by("gender")
    truth = shop.population_truth
    for level in ("f", "m"):
        row = found[f"gender={level}"]
        assert row.group == {"gender": level}
        assert row.unit == "users"
        assert abs(row.value - truth[f"ate:gender={level}"]) < 3 * row.standard_error
    gap = found["gap in gender: f - m"]
    assert gap.derived_from == ("gender=f", "gender=m")
    assert abs(gap.value - truth["gap:gender"]) < 3 * gap.standard_error
    assert gap.value == pytest.approx(found["gender=f"].value - found["gender=m"].value)
    # The gap shares items with both groups: its error is not that of independent numbers.
    apart = np.hypot(found["gender=f"].standard_error, found["gender=m"].standard_error)
    assert gap.standard_error < apart


def test_groups_make_up_the_whole(effect: EffectResult, shop: Any) -> None:
    found = effect.by("category")
    share = shop.log.column("category").value_counts(normalize=True)
    total = sum(found[f"category={level}"].value * share[level] for level in share.index)
    assert total == pytest.approx(effect.value, abs=1e-12)


def test_gaps_are_one_declared_family(effect: EffectResult) -> None:
    found = effect.by("category")
    gaps = [row for row in found.rows if row.derived_from]
    assert len(gaps) == 3
    assert "One family of 3 gaps between groups" in found.family
    assert "Holm" in found.family
    for row in gaps:
        assert row.p_adjusted >= row.p_value
        assert row.interval_method.startswith("simultaneous (sup-t)")
        assert row.upper - row.value > 1.98 * row.standard_error  # wider than one alone


def test_a_column_of_events_and_naive_beside() -> None:
    world = cr.simulate("video", n_users=200, n_items=60, random_state=2)
    found = cr.estimate_effect(world.log, world.graph, n_repeats=1, n_folds=2)
    by_arm = found.by("arm")
    assert [row.label for row in by_arm.rows][:2] == ["arm=control", "arm=treatment"]
    table = by_arm.tables[0]
    assert table.columns[:2] == ("arm", "users")
    naive, adjusted, gap, lower, upper = (float(str(x)) for x in table.rows[0][2:])
    assert gap == pytest.approx(naive - adjusted)
    assert lower < gap < upper


def test_every_estimator_has_groups(shop: Any) -> None:
    for estimator in ("ips", "snips", "regression", "econml"):
        found = cr.estimate_effect(
            shop.log, shop.graph, estimator=estimator, n_repeats=1, n_folds=2
        )
        whole, part = found.rows[0].standard_error, found.by("gender").rows[0].standard_error
        assert whole is not None
        assert part is not None
        assert 0.5 * whole < part < 2.5 * whole


def test_snips_of_one_group_is_snips_alone(shop: Any) -> None:
    p = shop.potential.row_propensity
    options: Any = {"estimator": "snips", "n_repeats": 1, "n_folds": 2}
    whole = cr.estimate_effect(shop.log, shop.graph, propensity=p, **options).by("gender")
    women = (shop.log.column("gender") == "f").to_numpy()
    alone = cr.estimate_effect(shop.log.select(women), shop.graph, propensity=p[women], **options)
    assert whole["gender=f"].value == pytest.approx(alone.value, abs=1e-12)
    assert whole["gender=f"].standard_error == pytest.approx(alone.standard_error, rel=1e-9)


def small_log(world: Any, users: pd.DataFrame, items: pd.DataFrame) -> cr.InteractionLog:
    return cr.InteractionLog(world.events, users=users, items=items, **world.log_columns)


def test_few_clusters_small_cells_and_one_arm(shop: Any) -> None:
    users = shop.users.assign(club=np.where(np.arange(len(shop.users)) < 4, "few", "many"))
    items = shop.items.assign(shelf=np.where(np.arange(len(shop.items)) < 3, "top", "rest"))
    found = cr.estimate_effect(small_log(shop, users, items), shop.graph, n_repeats=1, n_folds=2)
    few = found.by("club", min_cell=0)["club=few"]
    assert few.status == "not_estimable"
    assert few.lower is None
    top = found.by("shelf")["shelf=top"]
    assert (top.status, top.lower) == ("not_estimable", None)
    hidden = found.by("club")
    assert {row.status for row in hidden.rows} == {"suppressed"}
    assert "No group of club can be shown" in hidden.answer
    assert "suppressed" in hidden.tables[0].rows[0]


def test_a_group_without_one_of_the_arms_has_no_point(shop: Any) -> None:
    slot = np.where(shop.events["exposed"] == 1, "shown", "both")
    slot[::2] = "both"
    log = cr.InteractionLog(
        shop.events.assign(slot=slot), users=shop.users, items=shop.items, **shop.log_columns
    )
    found = cr.estimate_effect(log, shop.graph, n_repeats=1, n_folds=2).by("slot")
    row = found["slot=shown"]
    assert (row.value, row.status) == (None, "not_estimable")
    assert "one of the arms has no row" in row.note


def test_attributes_of_providers_are_clustered_by_provider(shop: Any) -> None:
    size = shop.items["brand"].map(lambda brand: "small" if brand < "brand-09" else "large")
    log = small_log(shop, shop.users, shop.items.assign(size=size))
    effect = cr.estimate_effect(log, shop.graph, n_repeats=1, n_folds=2)
    found = effect.by("size")
    assert set(found.rows[0].clusters) == {"user", "provider"}
    assert "clustered by provider" in found.notes[0]
    assert set(effect.by("brand", min_cell=0).rows[0].clusters) == {"user", "item"}


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("gendr", "Did you mean 'gender'"),
        ("exposed", "is the exposure"),
        ("age", "cut it into"),
        ("one", "nothing to compare"),
    ],
)
def test_columns_that_are_no_groups(shop: Any, column: str, message: str) -> None:
    log = small_log(shop, shop.users.assign(one="x"), shop.items)
    effect = cr.estimate_effect(log, shop.graph, n_repeats=1, n_folds=2)
    with pytest.raises(DataError, match=message):
        effect.by(column)


def test_rows_without_a_level_are_counted(shop: Any) -> None:
    users = shop.users.assign(club=pd.Series(["a", "b", None] * 200)[: len(shop.users)].to_numpy())
    found = cr.estimate_effect(
        small_log(shop, users, shop.items), shop.graph, n_repeats=1, n_folds=2
    )
    by = found.by("club")
    assert "have no 'club'" in by.notes[0]
    assert len(by.rows) == 3


def test_groups_that_share_no_support_have_no_gap() -> None:
    rng = np.random.default_rng(0)
    users, items = (a.ravel() for a in np.indices((60, 30)))
    p = np.where((users < 30) == (items < 15), 0.4, 0.0)
    exposed = (rng.random(len(p)) < p).astype(int)
    events = pd.DataFrame({"user_id": users, "item_id": items, "exposed": exposed, "p": p})
    log = cr.InteractionLog(
        events.assign(bought=exposed + rng.normal(size=len(p))),
        users=pd.DataFrame({"user_id": range(60), "age": ["young"] * 30 + ["old"] * 30}),
        exposure="exposed",
        outcome="bought",
    )
    graph = cr.CausalGraph.from_dot(
        "digraph { exposed [role=exposure]; bought [role=outcome]; age [entity=user];"
        " age -> {exposed bought}; exposed -> bought; }"
    )
    with pytest.warns(OverlapWarning):
        effect = cr.estimate_effect(log, graph, propensity="p", n_repeats=1, n_folds=2)
    found = effect.by("age")
    assert found["age=old"].status == "ok"
    gap = found["gap in age: old - young"]
    assert (gap.status, gap.value) == ("not_estimable", None)
    assert "share no supported rows" in gap.note
