"""Recommenders given as tables: scores equal the function they were made by, lists stay lists."""

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.errors import DataError, StudyError


@pytest.fixture(scope="module")
def clicks():
    """A log of clicks with words for ids, a table of predictions, and the propensities."""
    rng = np.random.default_rng(0)
    shape = (40, 10)
    p = rng.uniform(0.3, 0.9, shape)
    recorded = rng.random(shape) < p
    f = rng.random(shape)
    users, items = np.nonzero(recorded)
    names = np.array([f"u{k:02d}" for k in range(40)]), np.array([f"i{k}" for k in range(10)])
    log = cr.InteractionLog(
        pd.DataFrame(
            {
                "member": names[0][users],
                "song": names[1][items],
                "click": (rng.random(shape) < f)[recorded].astype(int),
            }
        ),
        users=pd.DataFrame({"member": names[0]}),
        items=pd.DataFrame({"song": names[1]}),
        user_id="member",
        item_id="song",
        outcome="click",
        kind="ratings",
    )
    users, items = (part.ravel() for part in np.indices(shape))
    scores = pd.DataFrame({"member": names[0][users], "song": names[1][items], "score": f.ravel()})
    return log, f, p, scores


def listed(scores, k):
    """The first k of every user as a table of lists, with the usual names."""
    table = scores.sort_values("score", ascending=False, kind="stable").copy()
    table["rank"] = table.groupby("member").cumcount() + 1
    table = table[table["rank"] <= k].drop(columns="score")
    return table.rename(columns={"member": "user_id", "song": "item_id"})


METRICS = ["dcg@3", "recall@3", "precision@3", "coverage@3", "novelty@3"]


def test_a_table_of_scores_is_the_function_that_made_it(clicks):
    log, f, p, scores = clicks
    user_of = {name: k for k, name in enumerate(log.user_ids)}
    item_of = {name: k for k, name in enumerate(log.item_ids)}

    def model(users, items):
        return f[[user_of[u] for u in users], [item_of[i] for i in items]]

    shuffled = scores.sample(frac=1.0, random_state=0)
    result = cr.evaluate(
        {"function": model, "table": shuffled}, log, [*METRICS, "mse", "auc"], propensity=p
    )
    for row in result.differences:
        assert row.value == 0.0, row.label


def test_a_table_of_lists_has_the_list_metrics_of_its_scores(clicks):
    log, _, p, scores = clicks
    models = {"scores": scores, "lists": listed(scores, 3)}
    result = cr.evaluate(models, log, METRICS, propensity=p)
    for row in result.differences:
        assert row.value == pytest.approx(0.0, abs=1e-15), row.label
    with pytest.raises(StudyError, match="'lists' is a table of lists"):
        cr.evaluate(models, log, "mse", propensity=p)


def test_lists_are_no_outcome_model(clicks):
    log, _, p, scores = clicks
    options = {"propensity": p, "estimator": "dr"}
    with pytest.raises(StudyError, match="table of lists"):
        cr.evaluate(scores, log, "mse", outcome_model=listed(scores, 3), **options)
    with pytest.raises(StudyError, match="judge itself"):
        cr.evaluate(scores, log, "mse", outcome_model=scores.copy(), **options)
    halved = scores.assign(score=scores["score"] / 2)
    assert cr.evaluate(scores, log, "mse", outcome_model=halved, **options)["mse"].value > 0


def test_short_lists_are_not_filled_up(clicks):
    log, _, p, scores = clicks
    short = listed(scores, 1)
    result = cr.evaluate({"short": short, "long": listed(scores, 3)}, log,
                         ["dcg@1", "dcg@3", "coverage@3"], propensity=p)  # fmt: skip
    assert result["short: dcg@3"].value == pytest.approx(result["short: dcg@1"].value, rel=1e-12)
    assert result["long: dcg@3"].value > result["short: dcg@3"].value
    share = short["item_id"].nunique() / 10
    assert result["short: coverage@3"].value == pytest.approx(share, rel=1e-12)


def test_users_without_a_list_are_counted(clicks):
    log, _, p, scores = clicks
    lists = listed(scores, 3)
    some = lists[lists["user_id"] < "u35"]
    result = cr.evaluate(some, log, "dcg@3", propensity=p)
    assert any("5 of 40 users have no list" in note for note in result.notes)
    full = cr.evaluate(lists, log, "dcg@3", propensity=p)
    assert 0 < result["dcg@3"].value < full["dcg@3"].value


def test_what_a_user_has_seen_moves_the_rest_of_a_list_up(clicks):
    log, _, p, scores = clicks
    train, test = log.split(test_size=0.5, random_state=0)
    models = {"scores": scores, "lists": listed(scores, 10)}
    result = cr.evaluate(models, test, METRICS, propensity=p, train=train)
    assert all(row.value == pytest.approx(0.0, abs=1e-15) for row in result.differences)


def test_a_slice_ranks_what_is_listed_of_it(clicks):
    log, _, _, scores = clicks
    events = pd.DataFrame(
        {
            "member": log.user_ids.take(log.user_codes),
            "song": log.item_ids.take(log.item_codes),
            "click": log.outcome,
        }
    )
    uniform = cr.InteractionLog(events, user_id="member", item_id="song", outcome="click",
                                kind="ratings", randomized=True)  # fmt: skip
    models = {"scores": scores, "lists": listed(scores, 10)}
    result = cr.evaluate(models, uniform, ["ndcg@3", "hit@3", "map@3"])
    assert all(row.value == 0.0 for row in result.differences)


def test_missing_pairs_are_counted_and_named(clicks):
    log, _, p, scores = clicks
    recorded = set(
        zip(log.user_ids.take(log.user_codes), log.item_ids.take(log.item_codes), strict=True)
    )
    inside = [pair in recorded for pair in zip(scores["member"], scores["song"], strict=True)]
    # The recorded pairs suffice for an error by weights, not for a list.
    assert cr.evaluate(scores[inside], log, "mse", propensity=p)["mse"].value > 0
    missing = len(scores) - sum(inside)
    with pytest.raises(DataError, match=rf"no score for {missing} of 400 .* the first: \[\('u"):
        cr.evaluate({"partial": scores[inside]}, log, "dcg@3", propensity=p)


def test_tables_that_cannot_be_read_are_refused(clicks):
    log, _, p, scores = clicks
    lists = listed(scores, 3)
    cases = {
        "has a score and a rank": scores.assign(rank=1),
        "no column 'score'": scores.rename(columns={"score": "value"}),
        "has no rows": scores[:0],
        "is not a finite number": scores.assign(score=np.nan),
        "occurs twice for a user": pd.concat([scores, scores[:2]]),
        "is no place of a list": lists.assign(rank=lists["rank"] - 1),
        "occurs twice in the list": lists.assign(rank=1),
        "does not have": pd.concat([lists, lists[:1].assign(item_id="unknown", rank=9)]),
        "no pair of a user and an item": scores.assign(song="unknown"),
        "no column 'member'": scores.rename(columns={"member": "person"}),
    }
    for message, table in cases.items():
        with pytest.raises((DataError, StudyError), match=message):
            cr.evaluate(table, log, "dcg@3", propensity=p)


def test_polars_and_pyarrow_tables_are_read_too(clicks):
    polars = pytest.importorskip("polars", reason="polars is not installed")
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    log, _, p, scores = clicks
    models = {
        "pandas": scores,
        "polars": polars.DataFrame({name: scores[name].tolist() for name in scores}),
        "pyarrow": pyarrow.table({name: scores[name].tolist() for name in scores}),
    }
    result = cr.evaluate(models, log, "dcg@3", propensity=p)
    assert all(row.value == 0.0 for row in result.differences)


def test_what_lists_add_takes_tables_too():
    world = cr.simulate("shop", n_users=150, n_items=30, random_state=0)
    log = world.log
    quality = log.items["quality"].to_numpy()
    scores = pd.DataFrame(
        {
            "user_id": log.user_ids.take(log.user_codes),
            "item_id": log.item_ids.take(log.item_codes),
            "score": quality[log.item_codes],
        }
    ).drop_duplicates(["user_id", "item_id"])
    ranked = scores.sort_values(["user_id", "score"], ascending=[True, False], kind="stable")
    lists = ranked.assign(rank=ranked.groupby("user_id").cumcount() + 1).drop(columns="score")
    from causalrec.evaluation import evaluate_uplift

    found = evaluate_uplift(
        {"scores": scores, "lists": lists[lists["rank"] <= 3]}, log, k=3, graph=world.graph
    )
    by_name = {row.label: row for row in found.rows}
    assert by_name["lists - scores"].value == pytest.approx(0.0, abs=1e-12)
