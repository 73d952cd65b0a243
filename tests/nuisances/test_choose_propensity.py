"""The rule for choosing a propensity: where log-loss alone errs, and where the rule cannot see."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import causalrec as cr
from causalrec.errors import StudyError
from causalrec.nuisances import PropensityChoice, choose_propensity, row_propensity


@pytest.fixture(scope="module")
def tasteful():
    """Recording depends on features that matter for the rating, and on tastes that do not."""
    rng = np.random.default_rng(3)
    m, n = 500, 300
    gender, genre = rng.integers(0, 2, m), rng.integers(0, 4, n)
    liked = np.where((genre[None, :] % 2) == gender[:, None], 1.0, -1.0)
    U, V = rng.normal(size=(m, 2)), rng.normal(size=(n, 2))
    p = expit(-2.6 + 0.5 * liked + 1.3 * U @ V.T)
    y = 3.0 + liked + 0.5 * rng.normal(size=(m, n))
    observed = rng.random((m, n)) < p
    user, item = np.nonzero(observed)
    log = cr.InteractionLog(
        pd.DataFrame({"user_id": user, "item_id": item, "rating": y[observed]}),
        users=pd.DataFrame({"user_id": range(m), "gender": np.array(["f", "m"])[gender]}),
        items=pd.DataFrame({"item_id": range(n), "genre": np.array(list("abcd"))[genre]}),
    )
    return log, p, float(y.mean())


def test_log_loss_alone_takes_the_worse_correction(tasteful) -> None:
    log, _, truth = tasteful
    candidates = {
        "features": cr.PropensityModel("logistic"),
        "factors": cr.PropensityModel("low-rank", covariates=[], rank=2, factor_regularization=5.0),
        "independence": cr.PropensityModel("independence"),
    }
    found = choose_propensity(log, candidates, repeats=2)
    assert isinstance(found, PropensityChoice)
    table = found.to_frame().set_index("propensity")
    assert table["log-loss"].idxmin() == "factors"
    assert found.name == "features"
    assert "Log-loss alone would have taken factors" in found.result.answer

    def error(model) -> float:
        w = 1 / row_propensity(model.clone().fit(log), log)
        return abs(float(np.average(log.outcome, weights=w)) - truth)

    # factors do more harm than no weights at all: .41 against .30, and .04 with the features
    assert error(candidates["factors"]) > error(candidates["independence"]) > 0.2
    assert error(candidates["features"]) < 0.1
    assert table.loc["features", "sum(1/p)/cells"] == pytest.approx(1.0, abs=0.05)
    assert table.loc["features", "calibration slope"] == pytest.approx(1.0, abs=0.1)
    again = choose_propensity(log, candidates, repeats=2)
    assert again.result.to_json() == found.result.to_json()


def test_the_true_propensity_stands_as_it_should(tasteful) -> None:
    log, p, _ = tasteful
    found = choose_propensity(
        log, {"truth": cr.KnownPropensity(p), "popularity": cr.PropensityModel("popularity")},
        repeats=2,
    )  # fmt: skip
    assert found.name == "truth"
    table = found.to_frame().set_index("propensity")
    # of one split; the others share its observed cells
    se = np.sqrt(((1 - 0.2 * p) / (0.2 * p)).sum()) / p.size
    assert table.loc["truth", "sum(1/p)/cells"] == pytest.approx(1.0, abs=3 * se)
    assert table.loc["truth", "calibration slope"] == pytest.approx(1.0, abs=0.06)


def test_what_no_table_holds_the_rule_cannot_see(tasteful) -> None:
    """Without the tables all candidates look balanced, and the mean stays wrong."""
    log, _, truth = tasteful
    blind = cr.InteractionLog(
        pd.DataFrame({"user_id": log.user_codes, "item_id": log.item_codes,
                      "rating": log.outcome})
    )  # fmt: skip
    found = choose_propensity(blind, ["popularity", "independence"], repeats=1)
    assert (found.to_frame()["imbalance"] == 0.0).all()
    w = 1 / row_propensity(found.propensity, blind)
    assert float(np.average(blind.outcome, weights=w)) > truth + 0.2
    assert any("cannot see" in note for note in found.result.notes)


def test_rows_of_candidates_are_held_out_by_user() -> None:
    world = cr.simulate("shop", n_users=400, n_items=60, random_state=1)
    found = choose_propensity(world.log, ["logistic", "independence"], world.graph, repeats=2)
    assert found.name == "logistic"
    assert found.propensity.of_ == "exposure"


def test_refusals(tasteful) -> None:
    with pytest.raises(StudyError, match="at least two"):
        choose_propensity(tasteful[0], ["logistic"])
    with pytest.raises(StudyError, match="depends on the outcome"):
        choose_propensity(tasteful[0], ["logistic", "naive-bayes"])
