"""Gaps: right where selection is corrected, wrong where it is not, flagged where it cannot be."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import causalrec as cr
from causalrec.audits._gaps import any_difference
from causalrec.errors import GraphError, IdentificationError, PropensityWarning
from causalrec.inference import Estimate
from causalrec.scores import Score

MUSIC = {"n_users": 500, "n_items": 120, "density": 0.1}


def gap(result: cr.Result, column: str, estimator: str) -> float:
    (row,) = (
        r
        for r in result.rows
        if r.metric == "mean" and r.derived_from and f", {column}: " in r.label
        and r.estimator == estimator
    )  # fmt: skip
    # The reference is the larger group, whichever it is: always first minus second level.
    first = row.label.split(f", {column}: ")[1].split(" - ")[0]
    assert row.value is not None
    return row.value if first in {"A", "independent"} else -row.value


def test_naive_gap_is_wrong_and_corrected_ones_are_right() -> None:
    errors: dict[str, list[float]] = {"naive": [], "snips": [], "dr": []}
    for seed in range(12):
        world = cr.simulate("music", random_state=seed, **MUSIC)
        found = cr.audit(
            world.log,
            user_groups="country",
            propensity=world.potential.propensity,
            graph=world.graph,
        )
        for name, each in errors.items():
            each.append(gap(found, "country", name) - world.truth["gap:country"])
    for name, each in errors.items():
        # Tolerance: four Monte Carlo standard errors of the mean error of twelve worlds.
        error, noise = np.mean(each), np.std(each, ddof=1) / np.sqrt(len(each))
        if name == "naive":
            assert error > 0.1 > 4 * noise
        else:
            assert abs(error) < 4 * noise < 0.06


def test_answer_and_rows_set_the_naive_gap_beside_the_corrected_one() -> None:
    world = cr.simulate("music", random_state=0, **MUSIC)
    found = cr.audit(
        world.log, user_groups="country", propensity=world.potential.propensity, graph=world.graph
    )
    assert "the naive gap is" in found.answer
    assert "naive minus corrected" in found.answer
    assert "bias" not in found.answer
    (judged,) = found.gaps
    assert judged.estimator == "dr"
    change = found[f"{judged.label} (naive - dr)"]
    naive = found[f"{judged.label} (naive)"]
    assert change.value == pytest.approx(naive.value - judged.value)
    assert change.lower is not None
    assert found.family.startswith("A family of one")


def test_popularity_alone_is_flagged_and_repairs_nothing() -> None:
    world = cr.simulate("music", random_state=0, n_users=800, n_items=200, density=0.1)
    popularity = cr.PropensityModel(method="popularity").fit(world.log)
    with pytest.warns(PropensityWarning, match="cannot repair group gaps"):
        found = cr.audit(
            world.log, user_groups="country", propensity=popularity, estimators=["naive", "snips"]
        )
    assert abs(gap(found, "country", "snips") - world.truth["gap:country"]) > 0.1
    verdict = next(a for a in found.assumptions if a.name.startswith("propensity repairs"))
    assert verdict.status == "violated"
    assert "mainstream within country" in verdict.evidence


def test_right_propensity_passes_the_same_test() -> None:
    world = cr.simulate("music", random_state=0, n_users=800, n_items=200, density=0.1)
    propensity = cr.PropensityModel().fit(world.log, graph=world.graph)
    found = cr.audit(
        world.log, user_groups="country", propensity=propensity, estimators=["naive", "snips"]
    )
    verdict = next(a for a in found.assumptions if a.name.startswith("propensity repairs"))
    assert verdict.status == "tested"
    table = next(t for t in found.tables if t.name == "group diagnostics")
    before, after = (table.columns.index(f"largest imbalance {x}") for x in ("before", "after"))
    assert all(row[after] < 0.1 < row[before] for row in table.rows if row[1] == "A")


def test_gap_speaks_of_what_both_groups_could_have_rated() -> None:
    world = cr.simulate("music", random_state=2, unsupported=0.2, **MUSIC)
    found = cr.audit(
        world.log,
        user_groups="country",
        propensity=world.potential.propensity,
        estimators=["naive", "snips"],
    )
    common = world.potential.supported.all(axis=0)
    country = world.users["country"].to_numpy()
    expected = world.potential.expected_rating[:, common]
    shared = expected[country == "A"].mean() - expected[country == "B"].mean()
    false = (
        world.truth["mean:supported:country=A"] - world.truth["mean:supported:country=B"]
    )  # of two catalogues
    row = next(r for r in found.gaps)
    assert "items left out" in row.population
    error = gap(found, "country", "snips") - shared
    assert abs(error) < 4 * row.standard_error
    assert abs(gap(found, "country", "snips") - false) > 4 * row.standard_error


def test_error_of_a_model_by_group() -> None:
    world = cr.simulate("music", random_state=3, **MUSIC)
    constant = 3.0

    def model(users: pd.Index, items: pd.Index) -> np.ndarray:
        return np.full(len(users), constant)

    found = cr.audit(
        world.log,
        model,
        user_groups="country",
        item_groups="genre",
        propensity=world.potential.propensity,
        metrics=["mse", "dcg@5"],
    )
    loss = world.potential.expected_squared_error(np.full((500, 120), constant))
    for level in ("A", "B"):
        row = found[f"mse: country={level}"]
        truth = loss[(world.users["country"] == level).to_numpy()].mean()
        assert abs(row.value - truth) < 4 * row.standard_error
    assert {r.metric for r in found.rows if "genre" in r.group} == {"mse", "exposure@10"}
    assert {r.metric for r in found.rows if "country" in r.group} >= {"mse", "dcg@5"}


def test_candidates_with_a_graph_of_exposure() -> None:
    world = cr.simulate("shop", n_users=300, n_items=80, random_state=0)
    found = cr.audit(world.log, user_groups="gender", item_groups="category", graph=world.graph)
    names = [a.name for a in found.assumptions]
    assert "no unmeasured confounding" in names
    assert "missing at random" not in names
    assert set(found.adjustment) >= {"activity", "age", "price", "quality"}
    latent = cr.load_graph("exposure_click_latent")
    with pytest.raises((IdentificationError, GraphError)):
        cr.audit(world.log, user_groups="gender", graph=latent)


def test_randomised_logs_are_compared_plainly() -> None:
    world = cr.simulate("music", random_state=0, n_randomized=3000, **MUSIC)
    found = cr.audit(world.log.randomized_part(), user_groups="country")
    assert {row.estimator for row in found.rows} == {"plain"}
    whole = cr.audit(
        world.log, user_groups="country", propensity=world.potential.propensity,
        estimators=["naive", "snips"],
    )  # fmt: skip
    assert any("3,000 randomised rows are set aside" in note for note in whole.notes)


def test_provider_itself_under_five_clusters_has_a_permutation_p() -> None:
    world = cr.simulate("music", random_state=0, n_labels=8, **MUSIC)
    found = cr.audit(world.log, item_groups="label", estimators="naive", min_cell=5)
    gaps = [row for row in found.rows if row.derived_from]
    assert gaps
    for row in gaps:
        assert row.status == "not_estimable"
        assert row.lower is None
        assert row.p_value is not None
        assert "provider" in row.clusters


def test_bands_cover_an_attribute_at_once_and_holm_the_audit() -> None:
    world = cr.simulate("music", random_state=1, **MUSIC)
    found = cr.audit(
        world.log, user_groups=["age_group", "country"], estimators=["naive"], item_groups="genre"
    )
    wide = [row for row in found.gaps if "age_group" in row.label]
    for row in wide:
        assert row.interval_method.startswith("sup-t over 2 gaps")
        pointwise = 2 * stats.norm.ppf(0.975) * row.standard_error
        assert row.upper - row.lower > 1.05 * pointwise
    assert len(found.gaps) == 5
    smallest = min(found.gaps, key=lambda row: row.p_value)
    assert smallest.p_adjusted == pytest.approx(min(1.0, 5 * smallest.p_value))


def test_any_difference_is_no_difference_half_the_time() -> None:
    rng = np.random.default_rng(0)
    groups, p_values = np.arange(600) % 6, []
    for _ in range(300):
        estimate = Estimate.from_score(
            Score(rng.normal(size=600)), {"user": np.arange(600)}, groups=groups,
            labels=list("abcdef"),
        )  # fmt: skip
        gaps = estimate.contrast({x: {x: 1.0, "a": -1.0} for x in "bcdef"})
        p_values.append(any_difference(gaps)[3])
    # Six equal groups: the largest minus the smallest is never 0; this p is uniform.
    assert stats.kstest(p_values, "uniform").pvalue > 0.001
    assert 0.01 < np.mean(np.array(p_values) < 0.05) < 0.09


def test_same_seed_same_bytes() -> None:
    world = cr.simulate("music", random_state=1, **MUSIC)
    texts = {
        cr.audit(
            world.log,
            lambda u, i: np.asarray(i, dtype=float) % 7,
            user_groups=["country"],
            item_groups=["genre", "label_group"],
            propensity=world.potential.propensity,
        ).to_json()
        for _ in range(2)
    }
    assert len(texts) == 1


def test_threads_and_hash_seed_leave_every_byte() -> None:
    code = (
        "import causalrec as cr, numpy as np, hashlib\n"
        "w = cr.simulate('music', n_users=900, n_items=250, density=0.1, random_state=0)\n"
        "a = cr.audit(w.log, lambda u, i: np.cos(np.asarray(u) * 1.3 + np.asarray(i)),"
        " user_groups=['country', 'age_group'], item_groups=['genre', 'label_group'],"
        " propensity=w.potential.propensity)\n"
        "print(hashlib.sha256(a.to_json().encode()).hexdigest())"
    )
    found = set()
    for threads in ("1", "2"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED")
        environment = {**os.environ, **dict.fromkeys(names, threads)}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            check=True,
            text=True,
        )
        found.add(done.stdout)
    assert len(found) == 1
