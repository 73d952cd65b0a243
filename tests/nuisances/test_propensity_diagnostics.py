"""Diagnostics: each number against its own definition, and the flags where they belong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import PropensityWarning
from causalrec.nuisances import (
    KnownPropensity,
    PropensityModel,
    balance,
    calibration_table,
    effective_sample_size,
    inverse_propensity_sum,
    overlap_table,
    propensity_assumptions,
    row_propensity,
    support,
    support_table,
    weight_table,
)


@pytest.fixture(scope="module")
def music():
    return cr.simulate("music", n_users=800, n_items=200, random_state=4, n_labels=8)


@pytest.fixture(scope="module")
def logistic(music):
    return PropensityModel().fit(music.log, music.graph)


def test_effective_sample_size_and_sum(music, logistic) -> None:
    w = 1 / row_propensity(logistic, music.log)
    assert effective_sample_size(w) == pytest.approx(w.sum() ** 2 / (w**2).sum())
    assert inverse_propensity_sum(logistic, music.log) == pytest.approx(w.sum() / 160_000)
    everything = support(logistic, music.log)
    assert inverse_propensity_sum(logistic, music.log, everything) == pytest.approx(
        w.sum() / 160_000
    )


def test_weights_by_group(music, logistic) -> None:
    table = weight_table(logistic, music.log, "country")
    assert [row[0] for row in table.rows] == ["A", "B"]
    inside = music.log.column("country").to_numpy() == "B"
    w = 1 / row_propensity(logistic, music.log)[inside]
    n, k, total, ess = table.rows[1][1:5]
    assert (n, k) == ((music.log.users["country"] == "B").sum() * 200, inside.sum())
    assert total == pytest.approx(w.sum() / n)
    assert ess == pytest.approx(effective_sample_size(w))


def test_histogram_counts_every_cell_once(music, logistic) -> None:
    table = overlap_table(logistic, music.log)
    assert table.figure == "histogram"
    assert sum(row[3] for row in table.rows) == 160_000
    assert sum(row[4] for row in table.rows) == music.log.n_rows


def test_the_true_propensities_are_calibrated(music) -> None:
    table = calibration_table(KnownPropensity(music.potential.propensity), music.log, "country")
    z = np.array([row[5] for row in table.rows])
    assert sum(row[4] for row in table.rows) == 160_000
    assert np.abs(z).max() < 4.0  # twenty bins, independent draws


def test_balance_is_the_standardised_difference_of_weighted_means(music, logistic) -> None:
    lines = {(line.group, line.feature): line for line in balance(logistic, music.log)}
    log = music.log
    inside = log.column("country").to_numpy() == "A"
    z = log.items["mainstream"].to_numpy()
    w = 1 / row_propensity(logistic, log)
    at = z[log.item_codes][inside]
    line = lines["country=A", "mainstream"]
    assert line.before == pytest.approx((at.mean() - z.mean()) / z.std())
    assert line.after == pytest.approx((np.average(at, weights=w[inside]) - z.mean()) / z.std())
    assert line.before > 0.3
    assert abs(line.after) < 0.1


def test_popularity_is_flagged_by_balance_within_groups(music, logistic) -> None:
    fine = logistic.diagnostics(music.log, by="country")
    assert fine.kind == "propensity"
    assert {a.name: a.status for a in fine.assumptions} == {
        "overlap": "tested", "balance": "tested", "calibration": "tested",
    }  # fmt: skip
    popularity = PropensityModel(method="popularity").fit(music.log)
    lines = balance(popularity, music.log)
    overall = [x for x in lines if x.group == "all" and x.feature == "mainstream"]
    assert abs(overall[0].after) < 0.1  # it balances each side overall
    with pytest.warns(PropensityWarning, match=r"mainstream within country=|country=. within"):
        flagged = popularity.diagnostics(music.log)
    assert {a.name: a.status for a in flagged.assumptions}["balance"] == "violated"
    assert "unbalanced" in flagged.answer


def test_the_result_is_drawn_from_tables(music, logistic) -> None:
    result = logistic.diagnostics(music.log, by="genre")
    names = [table.name for table in result.tables]
    assert names == [
        "groups",
        "overlap",
        "balance",
        "calibration",
        "weights",
        "support",
        "clipping",
    ]
    for table in result.tables:
        assert all(len(row) == len(table.columns) for row in table.rows)
        assert not table.x or table.x in table.columns
        assert set(table.y) <= set(table.columns)
    assert result.to_json() == logistic.diagnostics(music.log, by="genre").to_json()
    assert result.internal("support").share_unsupported == 0.0


def test_each_group_has_its_figures(music) -> None:
    log = music.log
    model = PropensityModel(clip=0.02).fit(log, music.graph)
    found = model.diagnostics(log, by="country")
    rows = {row[0]: row[1:] for row in found.tables[0].rows}
    lines, p = balance(model, log, support(model, log)), model.block(slice(0, 800))
    for level, (total, ess, clipped, unsupported, after, off) in rows.items():
        inside = log.column("country").to_numpy() == level
        w = 1 / row_propensity(model, log)[inside]
        mine = (log.users["country"] == level).to_numpy()
        assert total == pytest.approx(w.sum() / (mine.sum() * 200))
        assert ess == pytest.approx(effective_sample_size(w))
        assert clipped == pytest.approx((p[mine] == 0.02).mean())
        assert unsupported == 0.0
        of_group = [x for x in lines if x.group == f"country={level}"]
        assert after == max(abs(x.after) for x in of_group)
        assert off == sum(x.unbalanced for x in of_group)
    assert max(row[2] for row in rows.values()) > 0.0


def test_candidates_compare_exposed_rows_with_all() -> None:
    world = cr.simulate("shop", n_users=500, n_items=100, random_state=0)
    model = PropensityModel().fit(world.log, world.graph)
    log = world.log
    p = row_propensity(model, log)
    x = log.users["activity"].to_numpy()[log.user_codes]
    spread = x.std()
    for arm, q in ((1, p), (0, 1 - p)):
        lines = {(line.group, line.feature): line for line in balance(model, log, arm=arm)}
        rows = log.exposure == arm
        after = (np.average(x[rows], weights=1 / q[rows]) - x.mean()) / spread
        assert lines["all", "activity"].after == pytest.approx(after)
        assert abs(after) < 0.05
    assert [a.name for a in propensity_assumptions(model, log)] == [
        "overlap", "balance", "calibration",
    ]  # fmt: skip
    assert model.diagnostics(log, by="gender").answer.startswith("The propensities balance all")


def test_balance_is_judged_within_the_support() -> None:
    world = cr.simulate("music", n_users=800, n_items=300, random_state=0, unsupported=0.3)
    model = PropensityModel().fit(world.log, world.graph)
    found = support(model, world.log)
    table = support_table(found, "country")
    assert dict(table.rows)["B"] > 0.5
    off = [line for line in balance(model, world.log, found) if line.unbalanced]
    assert not off
    assert inverse_propensity_sum(model, world.log, found) == pytest.approx(1.0, abs=0.02)


def test_a_classifier_that_memorised_what_happened_warns_with_the_figure_and_a_way_out() -> None:
    from sklearn.ensemble import RandomForestClassifier

    world = cr.simulate("music", n_users=200, n_items=80, random_state=0)
    forest = RandomForestClassifier(n_estimators=10, random_state=0)
    memory = PropensityModel(forest).fit(world.log, world.graph)
    with pytest.warns(PropensityWarning, match=r"sum\(1/p\)/cells is 0\.[0-6]\d.*boosting"):
        result = memory.diagnostics(world.log)
    told = {a.name: a for a in result.assumptions}["calibration"]
    assert told.status == "violated"
    assert "memorises" in told.evidence
    restrained = RandomForestClassifier(n_estimators=10, min_samples_leaf=200, random_state=0)
    result = PropensityModel(restrained).fit(world.log, world.graph).diagnostics(world.log)
    told = {a.name: a for a in result.assumptions}["calibration"]
    assert told.status == "tested"
    assert "Monte Carlo error" in told.evidence


def test_the_error_of_the_sum_is_that_of_redrawn_logs() -> None:
    """200 draws of what is observed: their standard deviation is known to 5 %."""
    from causalrec.nuisances._diagnostics import inverse_sum_and_error

    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.5, (30, 40))
    found = []
    for _ in range(200):
        users, items = np.nonzero(rng.random(p.shape) < p)
        log = cr.InteractionLog(
            pd.DataFrame({"user_id": users, "item_id": items, "rating": items % 5}),
            users=pd.DataFrame({"user_id": range(30)}), items=pd.DataFrame({"item_id": range(40)}),
            outcome="rating", kind="ratings",
        )  # fmt: skip
        found.append(inverse_sum_and_error(KnownPropensity(p, of="observed"), log))
    total, error = np.array(found).T
    assert abs(total.mean() - 1) < 4 * total.std() / np.sqrt(200)
    assert abs(error.mean() / total.std() - 1) < 0.2


def test_an_evaluation_under_a_memorised_propensity_warns() -> None:
    from sklearn.ensemble import RandomForestClassifier

    world = cr.simulate("music", n_users=200, n_items=80, random_state=0)
    forest = RandomForestClassifier(n_estimators=10, random_state=0)
    memory = PropensityModel(forest).fit(world.log, world.graph)
    with pytest.warns(PropensityWarning, match=r"sum\(1/p\)/cells is 0\.[0-6]\d.*boosting"):
        cr.estimate_mean(world.log, memory, estimator="snips")
    cr.estimate_mean(world.log, PropensityModel().fit(world.log, world.graph), estimator="snips")
