"""Shares of attention against a target, by hand and by the formulas of rank-fairness metrics."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import binom

import causalrec as cr
from causalrec.audits._attributes import read_attribute
from causalrec.audits._distance import distance_of
from causalrec.audits._divergence import jensen_shannon
from causalrec.audits._lists import Lists
from causalrec.audits._target import align, away_from_target
from causalrec.errors import DataError, StudyError
from causalrec.inference import Estimate
from causalrec.scores import Score


def log_of(n_users: int, **items: object) -> cr.InteractionLog:
    n_items = len(next(iter(items.values())))
    events = pd.DataFrame({"user_id": [0, 1], "item_id": [0, 1], "rating": [1.0, 2.0]})
    return cr.InteractionLog(
        events,
        users=pd.DataFrame({"user_id": np.arange(n_users)}),
        items=pd.DataFrame({"item_id": np.arange(n_items), **items}),
        provider="owner" if "owner" in items else None,
    )


TOY = log_of(3, kind=["x", "x", "y", "z"], pop=[1.0, 0.5, 0.0, 0.0], jazz=[0.0, 0.5, 1.0, 1.0])
TOY_LISTS = pd.DataFrame(
    {"user_id": [0, 0, 1, 1, 2], "item_id": [0, 2, 1, 3, 0], "rank": [1, 2, 1, 2, 1]}
)
V2 = 1 / np.log2(3)


def toy(**options: object) -> cr.Result:
    return cr.audit(TOY, TOY_LISTS, measures="target", min_cell=1, item_groups="kind",
                    estimators="naive", **options)  # fmt: skip


def test_several_groups_by_hand() -> None:
    found = toy()
    shares = np.array([3.0, V2, V2]) / (3 + 2 * V2)
    for level, share, target in zip("xyz", shares, [0.5, 0.25, 0.25], strict=True):
        row = found[f"share of attention minus target@10: kind={level}"]
        assert row.value == pytest.approx(share - target)
    row = found["distance from target (AWRF@10): kind"]
    assert row.value == pytest.approx(jensenshannon(shares, [0.5, 0.25, 0.25], base=2) ** 2)
    assert row.status == "not_estimable"  # three users
    assert "fewer than five clusters" in row.note
    table = next(t for t in found.tables if t.name == "attention against target")
    assert [line[3] for line in table.rows] == [0.5, 0.25, 0.25]
    assert "share of the catalogue" in table.caption


def test_soft_groups_by_hand() -> None:
    found = toy(soft_groups={"style": ["pop", "jazz"]})
    pop, jazz = 1.0 + 0.5 + 1.0, V2 + 0.5 + V2
    row = found["share of attention minus target@10: style=pop"]
    assert row.value == pytest.approx(pop / (pop + jazz) - 1.5 / 4)


def test_targets_are_chosen_and_recorded() -> None:
    equal = toy(target="equal")
    assert equal["share of attention minus target@10: kind=y"].value == pytest.approx(
        V2 / (3 + 2 * V2) - 1 / 3
    )
    people = {"kind": {"x": 0.2, "y": 0.3, "z": 0.5}}
    given = toy(target=people)
    assert given["share of attention minus target@10: kind=x"].value == pytest.approx(
        3 / (3 + 2 * V2) - 0.2
    )
    assert given.provenance.config["target"] == people
    with pytest.raises(StudyError, match="misses z"):
        toy(target={"kind": {"x": 0.5, "y": 0.5}})
    with pytest.raises(StudyError, match="'catalogue'"):
        toy(target="fair")
    with pytest.raises(DataError, match="no column 'rap'"):
        toy(soft_groups={"style": ["pop", "rap"]})


def test_divergence_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    for q in (2, 3, 7):
        p, other = rng.dirichlet(np.ones(q), size=(2, 20))
        p[0, 0] = 0.0
        p[0] /= p[0].sum()
        expected = [jensenshannon(a, b, base=2) ** 2 for a, b in zip(p, other, strict=True)]
        np.testing.assert_allclose(jensen_shannon(p, other), expected, atol=1e-12)


@pytest.mark.parametrize("q", [1, 2, 4])
def test_extremes_are_those_of_the_ellipsoid(q: int) -> None:
    """The length of a vector over a ball: known in closed form in any dimension."""
    rng = np.random.default_rng(q)
    noise = rng.normal(size=(500, q))
    noise = np.linalg.solve(np.linalg.cholesky(np.cov(noise.T, ddof=0).reshape(q, q)),
                            (noise - noise.mean(0)).T).T  # fmt: skip
    estimate = Estimate.from_score(
        Score(noise + 0.4), {"user": np.arange(500)}, [str(i) for i in range(q)]
    )
    found = distance_of(estimate, lambda x: np.linalg.norm(x, axis=1), 0.95)
    from scipy.stats import f

    radius = np.sqrt(q * f.ppf(0.95, q, 499) / 499)
    assert found.value == pytest.approx(0.4 * np.sqrt(q))
    assert found.upper == pytest.approx(found.value + radius, abs=2e-3)
    assert found.lower == pytest.approx(found.value - radius, abs=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("tilt", [0.0, 0.8])
def test_distance_of_three_groups_covers_alike_or_not(tilt: float) -> None:
    """Alike groups too, where the plug-in is always above the truth; never below nominal.

    Bounds from the binomial at 400 replicates: above 91.5 % in all but a thousandth of studies.
    """
    rng = np.random.default_rng(8)
    n_users, n_items, hits, plain = 150, 120, [], []
    kind = np.arange(n_items) % 3
    attraction = 0.08 * np.exp(tilt * (kind - 1))
    truth_shares = np.bincount(kind, weights=attraction) / attraction.sum()
    truth = float(jensen_shannon(truth_shares, np.full(3, 1 / 3)))
    for _ in range(400):
        spread = np.exp(0.3 * rng.normal(size=n_items) - 0.045)
        shown = rng.random((n_users, n_items)) < attraction * spread
        users, items = np.nonzero(shown)
        ones = np.ones(len(users))
        lists = Lists(users, items, users, ones.astype(int), ones, None, "lists", "equal")
        attribute = read_attribute(
            LOG_OF_KINDS, "kind", entity="item", min_cell=1,
            active_users=np.ones(n_users, dtype=bool),
        )  # fmt: skip
        one = align(attribute, "catalogue")
        free = away_from_target(lists, LOG_OF_KINDS, one, ("user", "item"), 0.95)[list("01")]

        def divergence(points: np.ndarray, target: np.ndarray = one.target) -> np.ndarray:
            moved = np.column_stack([points, -points.sum(axis=1)]) + target
            moved = np.clip(moved, 0.0, None)
            return jensen_shannon(moved / moved.sum(axis=1, keepdims=True), target)

        found = distance_of(free, divergence, 0.95)
        hits.append(found.lower <= truth <= found.upper)
        plain.append(found.value > truth)
    low = binom(400, 0.95).ppf(0.0005) / 400
    assert np.mean(hits) >= low
    if tilt == 0.0:
        assert np.mean(plain) == 1.0  # the plug-in alone always claims a distance


LOG_OF_KINDS = log_of(150, kind=[str(i % 3) for i in range(120)])
