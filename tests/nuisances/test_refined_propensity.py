"""Boosting, calibration and entropy balancing: against known propensities, exactly, and failing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

import causalrec as cr
from causalrec.errors import OverlapError, StudyError
from causalrec.nuisances import balance, inverse_propensity_sum, row_propensity


def slope(p: np.ndarray, happened: np.ndarray) -> float:
    """Return beta of P(happened) = expit(alpha + beta logit p), by Newton's method."""
    x = np.column_stack([np.ones(len(p)), logit(np.clip(p, 1e-3, 1 - 1e-3))])
    at = np.array([0.0, 1.0])
    for _ in range(30):
        q = expit(x @ at)
        step = np.linalg.solve((x * (q * (1 - q))[:, None]).T @ x, x.T @ (happened - q))
        at = at + step / max(1.0, np.abs(step).max())
    return float(at[1])


@pytest.fixture(scope="module")
def stepped():
    """Candidates whose exposure jumps with age: no line on the logit describes it."""
    rng = np.random.default_rng(5)
    users = pd.DataFrame({
        "user_id": np.arange(1500), "age": rng.normal(size=1500),
        "gender": rng.choice(["f", "m"], 1500),
    })  # fmt: skip
    items = pd.DataFrame({"item_id": np.arange(12), "genre": ["a", "b", "c"] * 4})
    user, item = np.repeat(np.arange(1500), 12), np.tile(np.arange(12), 1500)
    age = users["age"].to_numpy()[user]
    p = 0.1 + 0.6 * (np.abs(age) > 1.0) + 0.2 * (items["genre"].to_numpy()[item] == "a")
    exposure = rng.random(len(p)) < p
    outcome = rng.random(len(p)) < 0.1 + 0.4 * (np.abs(age) > 1.0)
    log = cr.InteractionLog(
        pd.DataFrame({"user_id": user, "item_id": item, "shown": exposure.astype(int),
                      "bought": outcome.astype(int)}),
        users=users, items=items, outcome="bought", exposure="shown",
    )  # fmt: skip
    return log, p, 0.1 + 0.4 * float((np.abs(age) > 1.0).mean())


def test_boosting_finds_steps_that_a_line_misses(stepped) -> None:
    log, p, _ = stepped
    line = row_propensity(cr.PropensityModel("logistic").fit(log), log)
    boosted = cr.PropensityModel("boosting").fit(log)
    found = row_propensity(boosted, log)
    assert boosted.method_ == "boosting"
    assert "has not seen him" in " ".join(boosted.notes_)
    assert np.abs(found - p).mean() < 0.5 * np.abs(line - p).mean()
    assert found.tobytes() == row_propensity(cr.PropensityModel("boosting").fit(log), log).tobytes()
    assert inverse_propensity_sum(boosted, log) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_calibration_makes_the_slope_one(stepped, kind) -> None:
    from sklearn.tree import DecisionTreeClassifier

    log, p, _ = stepped
    wild = DecisionTreeClassifier(min_samples_leaf=8, random_state=0)
    plain = cr.PropensityModel(wild, calibration=None).fit(log)
    model = cr.PropensityModel(wild, calibration=kind).fit(log)
    found = row_propensity(model, log)
    happened = log.exposure.astype(float)
    # 18,000 rows give the slope a standard error of .02; a fresh draw is what counts
    fresh = (np.random.default_rng(8).random(len(p)) < p).astype(float)
    assert slope(plain.for_rows(log), fresh) < 0.8
    assert slope(found, happened) == pytest.approx(1.0, abs=0.08)
    assert slope(found, fresh) == pytest.approx(1.0, abs=0.08)
    assert "alibrated by" in " ".join(model.notes_)


def test_calibration_cannot_add_what_the_covariates_lack(stepped) -> None:
    """Where age is left out the map is flat: calibrated overall, and balance stays off."""
    log, p, _ = stepped
    blind = cr.PropensityModel(covariates=["gender", "genre"], calibration="isotonic").fit(log)
    found = row_propensity(blind, log)
    assert slope(found, log.exposure.astype(float)) == pytest.approx(1.0, abs=0.15)
    assert np.abs(found - p).mean() > 0.2


def test_calibration_of_cells_over_bins_of_the_grid() -> None:
    world = cr.simulate("music", n_users=500, n_items=150, random_state=3)
    log, truth = world.log, world.potential.propensity
    model = cr.PropensityModel("logistic", calibration="platt").fit(log, world.graph)
    p = model.block(slice(0, 500))
    fresh = np.random.default_rng(1).random(truth.shape) < truth
    assert slope(p.ravel(), fresh.ravel().astype(float)) == pytest.approx(1.0, abs=0.08)
    assert inverse_propensity_sum(model, log) == pytest.approx(1.0, abs=0.05)
    assert np.allclose(model.for_rows(log), p[log.user_codes, log.item_codes])
    small = cr.simulate("music", n_users=200, n_items=60, random_state=3)
    boosted = cr.PropensityModel("boosting", calibration="isotonic").fit(small.log, small.graph)
    log = small.log
    assert inverse_propensity_sum(boosted, log) == pytest.approx(1.0, abs=0.06)


def test_balanced_cells_match_the_declared_moments_exactly() -> None:
    world = cr.simulate("music", n_users=400, n_items=120, random_state=2)
    log = world.log
    wrong = cr.PropensityModel("popularity")
    before = wrong.fit(log)
    columns = [("country", "mainstream"), "country", "genre"]
    model = cr.PropensityModel("popularity", balance=columns).fit(log)
    assert inverse_propensity_sum(model, log) == pytest.approx(1.0, abs=1e-8)
    lines = {(x.group, x.feature): x for x in balance(model, log)}
    for x in ("country=A", "mainstream"):
        old = {(y.group, y.feature): y for y in balance(before, log)}
        group = "all" if x.startswith("country") else "country=A"
        assert abs(lines[group, x].after) < 1e-8
        assert group == "all" or abs(old[group, x].after) > 0.1
    p = model.block(slice(0, 400))
    assert ((p > 0) & (p < 1)).all()
    assert np.allclose(model.for_rows(log), p[log.user_codes, log.item_codes])
    assert "exactly" in " ".join(model.notes_)


def test_balancing_repairs_a_mean_where_the_moment_carries_the_selection(stepped) -> None:
    """Age enters by |age| > 1: its declared square repairs much, the mean of gender nothing."""
    log, _, truth = stepped
    users = log.users.assign(old=log.users["age"].abs() > 1.0, user_id=log.user_ids)
    wide = cr.InteractionLog(
        pd.DataFrame(
            {
                "user_id": log.user_codes,
                "item_id": log.item_codes,
                "shown": log.exposure,
                "bought": log.outcome,
            }
        ),
        users=users,
        items=log.items.assign(item_id=log.item_ids),
        outcome="bought",
        exposure="shown",
    )
    happened = wide.exposure == 1
    y = wide.outcome.astype(float)

    def mean(model) -> float:
        return float(np.average(y[happened], weights=1 / row_propensity(model, wide)[happened]))

    se = 0.009  # of a weighted mean of 5,000 rows
    right = cr.PropensityModel("independence", balance=["old"]).fit(wide)
    assert mean(right) == pytest.approx(truth, abs=4 * se)
    wrong = cr.PropensityModel("independence", balance=["gender"]).fit(wide)
    assert mean(wrong) > truth + 0.08
    off = [x.feature for x in balance(wrong, wide) if x.unbalanced]
    assert any(x.startswith("old") for x in off)


def test_options_that_mean_nothing_are_refused(stepped) -> None:
    log = stepped[0]
    with pytest.raises(StudyError, match="'platt'"):
        cr.PropensityModel(calibration="beta").fit(log)
    with pytest.raises(StudyError, match="takes a list"):
        cr.PropensityModel(balance="age").fit(log)
    with pytest.raises(StudyError, match="a pair is a column of users"):
        cr.PropensityModel(balance=[("age", "gender")]).fit(log)
    with pytest.raises(StudyError, match="clip would undo"):
        cr.PropensityModel(balance=["age"], clip=0.01).fit(log)
    music = cr.simulate("music", n_users=60, n_items=30, random_state=0).log
    with pytest.raises(StudyError, match="'case-control' has"):
        cr.PropensityModel("case-control", calibration="platt").fit(music)


def test_moments_that_no_weights_match_are_refused() -> None:
    users = pd.DataFrame({"user_id": range(40), "gender": ["f"] * 30 + ["m"] * 10})
    items = pd.DataFrame({"item_id": range(5)})
    rows = [(u, i, 3 + u % 3) for u in range(30) for i in range(5) if (u + i) % 2]
    log = cr.InteractionLog(
        pd.DataFrame(rows, columns=["user_id", "item_id", "rating"]), users=users, items=items
    )
    with pytest.raises(OverlapError, match="gender=m"):
        cr.PropensityModel("independence", balance=["gender"]).fit(log)
