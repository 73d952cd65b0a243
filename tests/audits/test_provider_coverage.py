"""Coverage of attention for merit, over worlds with a known truth; naive merit as it fails.

Few providers: 24 small labels and 8 big ones own the songs, and both attention and ratings depend
on them. Bounds come from the binomial: with 400 replicates a nominal 95 % interval covers between
91.5 % and 98.2 % in all but a thousandth of such studies. The truth is the mean over the worlds of
what each world's potential outcomes give, whose Monte Carlo error is a twentieth of an interval.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import causalrec as cr
from causalrec.audits._distance import distance_of
from causalrec.audits._opportunity import deviation_over_mean
from causalrec.evaluation import Attention, Group, merit_estimates
from causalrec.inference import Estimate

REPLICATES = 400
LOW, HIGH = stats.binom(REPLICATES, 0.95).ppf([0.0005, 0.9995]) / REPLICATES
GROUPS = {"label_group": ("independent", "major"), "genre": ("jazz", "pop")}
SIZES = {"n_users": 150, "n_items": 160, "density": 0.15, "provider_effect": 0.3}
ESTIMATORS = ("naive", "snips", "dr")


def rough_outcome(users: object, items: object) -> np.ndarray:
    """An outcome model that knows little: the propensity has to do the work."""
    return np.full(len(users), 3.0)


def one_world(seed: int) -> tuple[dict[tuple[str, ...], tuple], dict[tuple[str, str], np.ndarray]]:
    """Return the estimated ratios with intervals, and the sums of the truth by group."""
    world = cr.simulate("music", random_state=seed, **SIZES)
    rng = np.random.default_rng(10_000 + seed)
    log, n_users = world.log, SIZES["n_users"]
    label = rng.normal(size=int(log.provider.max()) + 1)[log.provider]
    major = (log.items["label_group"] == "major").to_numpy()
    attraction = 0.06 * np.exp(0.4 * major + 0.3 * label + 0.4 * log.items["mainstream"].to_numpy())
    chance = np.broadcast_to(np.minimum(attraction, 1.0), (n_users, log.n_items))
    users, items = np.nonzero(rng.random(chance.shape) < chance)
    ones = np.ones(len(users))
    by = {
        column: tuple(
            Group(f"{column}={x}", {column: x}, items=(log.items[column] == x).to_numpy())
            for x in levels
        )
        for column, levels in GROUPS.items()
    }
    answers = merit_estimates(
        log,
        by,
        Attention(users, items, ones, ones),
        estimators=ESTIMATORS,
        provider_columns=["label_group"],
        propensity=world.potential.propensity,
        outcome_model=rough_outcome,
        relevance_threshold=4.0,
    )
    relevant = world.potential.rating >= 4.0
    found: dict[tuple[str, ...], tuple] = {}
    truth: dict[tuple[str, str], np.ndarray] = {}
    for one in answers.found:
        for group in one.groups:
            inside = group.items
            truth[one.column, group.label] = np.array(
                [
                    chance[:, inside].mean(),
                    relevant[:, inside].mean(),
                    (chance * relevant)[:, inside].mean(),
                ]
            )
        for estimator in ESTIMATORS:
            found |= ratios_of(one, estimator)
    return found, truth


def ratios_of(one: object, estimator: str) -> dict[tuple[str, ...], tuple]:
    first, second = one.groups
    kept = {}
    for name, quantity in (("treatment", "exposure"), ("impact", "impact")):
        own = "" if quantity == "exposure" else estimator
        each = Estimate.stack(
            [
                one.estimate.ratio(
                    one.label(quantity, g, own), one.label("merit", g, estimator), g.label
                )
                for g in (first, second)
            ]
        )
        kept[name, one.column, estimator] = interval(each.ratio(first.label, second.label))
    listed = [one.label("listed", g, estimator) for g in (first, second)]
    ratio = one.estimate.ratio(*listed)
    kept["opportunity", one.column, estimator] = interval(ratio)
    distance = distance_of(ratio, deviation_over_mean, 0.95)
    kept["deviation", one.column, estimator] = (distance.value, distance.lower, distance.upper)
    return kept


def interval(ratio: Estimate) -> tuple[float, float, float]:
    return float(ratio.value[0]), *ratio.interval()[0].tolist()


def truths(sums: dict[tuple[str, str], np.ndarray]) -> dict[tuple[str, str], float]:
    found = {}
    for column, levels in GROUPS.items():
        (e1, m1, i1), (e0, m0, i0) = (sums[column, f"{column}={x}"] for x in levels)
        found["treatment", column] = (e1 / m1) / (e0 / m0)
        found["impact", column] = found["opportunity", column] = (i1 / m1) / (i0 / m0)
        log_ratio = np.log([[1.0 / found["opportunity", column]]])
        found["deviation", column] = float(deviation_over_mean(log_ratio)[0])
    return found


@pytest.mark.slow
def test_attention_for_merit_of_few_providers() -> None:
    each, total = [], {}
    for seed in range(REPLICATES):
        found, truth = one_world(seed)
        each.append(found)
        for name, values in truth.items():
            total[name] = total.get(name, 0.0) + values / REPLICATES
    expected = truths(total)
    coverage = {
        name: np.mean([f[name][1] <= expected[name[:2]] <= f[name][2] for f in each])
        for name in each[0]
    }
    for name, value in coverage.items():
        if name[2] != "naive":
            assert LOW <= value <= HIGH, name


def test_naive_merit_is_wrong_where_recording_goes_with_relevance() -> None:
    """Big labels are rated where they are liked, small ones anywhere: the figure that tells.

    Naive merit makes the big labels look as if they earned their attention; the ratio of naive to
    corrected, with its interval, says that they do not.
    """
    rng = np.random.default_rng(1)
    n_users, n_items = 120, 120
    big = np.arange(n_items) < 60
    liked = np.arange(n_items) % 2 == 0  # half of the songs of each side: as much merit
    likes = np.where(liked, 0.7, 0.2)
    rate = np.where(big, np.where(liked, 0.45, 0.05), 0.2)
    items = pd.DataFrame({"item_id": np.arange(n_items), "side": np.where(big, "big", "small")})
    by = {"side": tuple(
        Group(f"side={x}", {"side": x}, items=(items["side"] == x).to_numpy())
        for x in ("big", "small"))}  # fmt: skip
    covered: dict[str, list[bool]] = {"naive": [], "snips": []}
    told = []
    for _ in range(40):
        outcome = rng.random((n_users, n_items)) < likes
        users, songs = np.nonzero(rng.random((n_users, n_items)) < rate)
        log = cr.InteractionLog(
            pd.DataFrame(
                {"user_id": users, "item_id": songs, "liked": outcome[users, songs].astype(float)}
            ),
            items=items,
            outcome="liked",
            kind="ratings",
        )
        shown = np.divmod(np.flatnonzero(rng.random(n_users * n_items) < 0.1), n_items)
        ones = np.ones(len(shown[0]))
        (found,) = merit_estimates(
            log,
            by,
            Attention(*shown, ones, ones),
            estimators=("naive", "snips"),
            propensity=np.broadcast_to(rate, (log.n_users, n_items)).copy(),
        ).found
        naive, snips = (
            ratios_of(found, name)["treatment", "side", name] for name in ("naive", "snips")
        )
        covered["naive"].append(naive[1] <= 1.0 <= naive[2])
        covered["snips"].append(snips[1] <= 1.0 <= snips[2])
        told.append(naive[0] / snips[0])
    assert np.mean(covered["snips"]) > 0.85
    assert np.mean(covered["naive"]) < 0.5
    assert np.mean(told) < 0.85
