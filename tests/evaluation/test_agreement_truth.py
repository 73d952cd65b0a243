"""The comparison with a slice, held to what is known: its two tests, its power, its Lambda."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.evaluation._agreement import agreement
from causalrec.inference import Estimate
from causalrec.scores import Score

P = 0.3


def difference(rng, truth, *, users=60, each=10):
    """An estimate of a difference, clustered by user, with its standard error known beforehand."""
    user = np.repeat(np.arange(users), each)
    y = truth + 0.5 * rng.normal(size=users)[user] + rng.normal(size=users * each)
    return Estimate.from_score(Score(y), {"user": user}, one_row_per_cell=True)


ERROR = float(np.sqrt(0.5**2 / 60 + 1 / 600))


def test_equivalence_errs_in_five_percent_at_the_margin_and_is_found_well_inside() -> None:
    """1000 draws: 5 % has a Monte Carlo error of .7 %."""
    rng = np.random.default_rng(0)
    margin = 6 * ERROR
    at, inside = [], []
    for _ in range(1000):
        at.append(agreement(difference(rng, margin), margin, 0.95).equivalence_p < 0.05)
        inside.append(agreement(difference(rng, 0.0), margin, 0.95).equivalence_p < 0.05)
    assert 0.05 - 3 * 0.007 < np.mean(at) < 0.05 + 3 * 0.007
    assert np.mean(inside) > 0.99


def test_the_detectable_difference_is_found_in_four_of_five() -> None:
    """1000 draws: 80 % has a Monte Carlo error of 1.3 %; the error itself varies by a tenth."""
    rng = np.random.default_rng(1)
    claimed = np.mean([agreement(difference(rng, 0.0), 1.0, 0.95).detectable for _ in range(50)])
    found = [
        agreement(difference(rng, float(claimed)), 1.0, 0.95).p_value < 0.05 for _ in range(1000)
    ]
    assert abs(np.mean(found) - 0.8) < 3 * 0.013 + 0.02


def compared(seed: int, odds: float, n_users: int = 500, n_items: int = 300):
    """Likes are recorded with `odds` times the odds, others with one over it; compare with a slice.

    Returns the line of the table of agreement.
    """
    rng = np.random.default_rng(seed)
    y = (rng.random((n_users, n_items)) < 0.4).astype(float)
    factor = np.where(y > 0, odds, 1 / odds) * P / (1 - P)
    seen = rng.random(y.shape) < factor / (1 + factor)
    lot = rng.random(y.shape) < 0.1
    frames = [np.nonzero(kept) for kept in (seen, lot)]
    users, items = (np.concatenate(codes) for codes in zip(*frames, strict=True))
    drawn = np.repeat([False, True], [seen.sum(), lot.sum()])
    log = cr.InteractionLog(
        pd.DataFrame({"user_id": users, "item_id": items, "like": y[users, items],
                      "drawn": drawn}),
        users=pd.DataFrame({"user_id": range(n_users)}),
        items=pd.DataFrame({"item_id": range(n_items)}),
        outcome="like", kind="ratings", randomized="drawn",
    )  # fmt: skip
    p = cr.KnownPropensity(np.full(y.shape, P), of="observed")
    mean = cr.estimate_mean(log.selected_part(), p, estimator="snips")
    table = cr.compare_with_randomized(mean, log, margin=0.03).tables[0]
    return dict(zip(table.columns, table.rows[0], strict=True))


@pytest.mark.parametrize("odds", [1.0, 1.5, 2.5])
def test_lambda_is_the_odds_ratio_of_the_hidden_selection(odds: float) -> None:
    line = compared(2, odds)
    # 15,000 cells of the slice: its mean is known to .4 %, a change of Lambda by .02
    assert line["Lambda"] == pytest.approx(odds, abs=0.08)
    assert line["Lambda at least"] <= line["Lambda"]
    assert line["Lambda at least"] == pytest.approx(odds, abs=0.15)
    assert (line["equivalence p"] < 0.05) == (odds == 1.0)
    assert line["lower"] <= line["difference"] <= line["upper"]


def test_the_least_lambda_is_below_the_truth_in_nearly_every_log() -> None:
    """60 logs at one-sided 2.5 %: more than six above have a probability of one in a thousand."""
    lines = [compared(seed, 2.0, n_users=80, n_items=50) for seed in range(60)]
    least = np.array([line["Lambda at least"] for line in lines])
    assert (least > 2.0).sum() <= 6
    assert np.median(least) > 1.5
