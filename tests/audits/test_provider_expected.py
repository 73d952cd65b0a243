"""Expected exposure by hand, against the published formulas written out, and in a known world."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.audits._expected import disparity_of
from causalrec.audits._lists import lists_of_table
from causalrec.evaluation import Attention, expected_exposure

N_USERS, N_ITEMS, K = 12, 9, 4
RNG = np.random.default_rng(2)
RELEVANT = RNG.random((N_USERS, N_ITEMS)) < 0.4
RELEVANT[0] = False
RELEVANT[1] = True
KINDS = np.array(list("aaabbbccc"))
PLACES = 1 / np.log2(np.arange(2, K + 2))


def full_log() -> cr.InteractionLog:
    users, items = np.divmod(np.arange(N_USERS * N_ITEMS), N_ITEMS)
    events = pd.DataFrame(
        {"user_id": users, "item_id": items, "liked": RELEVANT.ravel().astype(float)}
    )
    catalogue = pd.DataFrame({"item_id": np.arange(N_ITEMS), "kind": KINDS})
    return cr.InteractionLog(events, items=catalogue, outcome="liked", kind="ratings")


def draws(n_lists: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a table of lists, and the attention of every list (lists, users, items)."""
    parts, attention = [], np.zeros((n_lists, N_USERS, N_ITEMS))
    for number in range(n_lists):
        order = np.argsort(RNG.random((N_USERS, N_ITEMS)), axis=1)[:, :K]
        np.put_along_axis(attention[number], order, np.broadcast_to(PLACES, (N_USERS, K)), axis=1)
        parts.append(
            pd.DataFrame(
                {
                    "user_id": np.repeat(np.arange(N_USERS), K),
                    "list": number,
                    "item_id": order.ravel(),
                    "rank": np.tile(np.arange(K) + 1, N_USERS),
                }
            )
        )
    return pd.concat(parts), attention


def due(relevant: np.ndarray) -> np.ndarray:
    """What items are due: the mean attention over all orders with the relevant items first."""
    places = np.r_[PLACES, np.zeros(N_ITEMS - K)]
    target = np.zeros(relevant.shape)
    for user, own in enumerate(relevant):
        m = int(own.sum())
        target[user, own] = places[:m].mean() if m else 0.0
        target[user, ~own] = places[m:].mean() if m < N_ITEMS else 0.0
    return target


def audit(lists: pd.DataFrame, **options: object) -> cr.Result:
    chosen = {"k": K, "min_cell": 1, "measures": "expected exposure", "propensity": 1.0,
              "estimators": ["naive", "dr"], "item_groups": "kind", **options}  # fmt: skip
    return cr.audit(full_log(), lists, **chosen)


@pytest.mark.parametrize("grouped", [False, True])
def test_one_list_a_user_by_hand(grouped: bool) -> None:
    lists, attention = draws(1)
    found = audit(lists.drop(columns="list"))
    exposure, target = attention[0], due(RELEVANT)
    if grouped:
        inside = (KINDS[:, None] == np.array(list("abc"))).astype(float)
        exposure, target = exposure @ inside, target @ inside
    name = "kind" if grouped else "items"
    disparity = np.square(exposure).sum(axis=1).mean()
    relevance = 2 * (exposure * target).sum(axis=1).mean()
    loss = np.square(exposure - target).sum(axis=1).mean()
    assert found[f"disparity of expected exposure (EED@4): {name}"].value == pytest.approx(
        disparity
    )
    # Everything is recorded: naive relevance is the truth.
    row = found[f"relevance of expected exposure (EER@4): {name} (naive)"]
    assert row.value == pytest.approx(relevance)
    row = found[f"loss of expected exposure (EEL@4): {name} (naive)"]
    assert row.value == pytest.approx(loss)
    assert row.lower < row.value < row.upper


def test_one_step_is_off_where_users_differ_beyond_the_outcome_model() -> None:
    """One user likes nothing, one everything; the model, without features, cannot know."""
    lists, attention = draws(1)
    found = audit(lists.drop(columns="list"))
    loss = np.square(attention[0] - due(RELEVANT)).sum(axis=1).mean()
    one_step = found["loss of expected exposure (EEL@4): items"].value
    assert abs(one_step - loss) > 0.2 * loss
    assert any("beyond what the outcome model knows" in note for note in found.notes)


def test_even_attention_is_the_reference() -> None:
    lists, _ = draws(1)
    found = audit(lists.drop(columns="list"), estimators="naive")
    even = PLACES.sum() / N_ITEMS
    target = due(RELEVANT)
    row = found["loss of expected exposure (EEL@4): items (even attention)"]
    assert row.value == pytest.approx(np.square(even - target).sum(axis=1).mean())
    row = found["disparity of expected exposure (EED@4): items (even attention)"]
    assert row.value == pytest.approx(N_ITEMS * even**2)


def test_few_draws_of_a_policy_do_not_raise_its_disparity() -> None:
    """Pairs of different lists: the mean over draws is the policy's own disparity."""
    log = full_log()
    values, plain = [], []
    for _ in range(300):
        table, attention = draws(3)
        lists = lists_of_table(table, log, log, k=K, browsing="log")
        values.append(disparity_of(lists, log, None).mean())
        plain.append(np.square(attention.mean(axis=0)).sum(axis=1).mean())
    truth = N_ITEMS * (PLACES.sum() / N_ITEMS) ** 2
    noise = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values) - truth) < 4 * noise
    assert np.mean(plain) - truth > 20 * noise


def test_recorded_relevance_understates_and_the_one_step_mends_it() -> None:
    """Relevant items are recorded more often; how many there are is not seen."""
    rng = np.random.default_rng(4)
    n_users, n_items, k = 400, 60, 5
    likes = np.where(rng.random(n_items) < 0.5, 0.6, 0.1)
    rate = np.where(likes > 0.3, 0.5, 0.15)
    places = 1 / np.log2(np.arange(2, k + 2))
    relevant = rng.random((n_users, n_items)) < likes
    users, items = np.nonzero(rng.random((n_users, n_items)) < rate)
    log = cr.InteractionLog(
        pd.DataFrame(
            {"user_id": users, "item_id": items, "liked": relevant[users, items].astype(float)}
        ),
        users=pd.DataFrame({"user_id": np.arange(n_users)}),
        items=pd.DataFrame({"item_id": np.arange(n_items)}),
        outcome="liked",
        kind="ratings",
    )
    order = np.argsort(rng.random((n_users, n_items)) - 0.5 * likes, axis=1)[:, :k]
    attention = np.zeros((n_users, n_items))
    np.put_along_axis(attention, order, np.broadcast_to(places, (n_users, k)), axis=1)
    cells = np.nonzero(attention)
    weight = attention[cells]
    # What items are due were relevance the chance of it: the quantity that is estimated.
    chance = np.broadcast_to(likes, attention.shape)
    m = chance.sum(axis=1, keepdims=True)
    a, b = places.sum() / m, 0.0
    target = chance * a + (1 - chance) * b
    truth = 2 * (attention * target).sum(axis=1).mean()
    found = expected_exposure(
        log,
        Attention(cells[0], cells[1], weight, np.ones(len(weight))),
        places,
        estimators=("naive", "dr"),
        propensity=np.broadcast_to(rate, attention.shape).copy(),
        outcome_model=lambda u, i: np.full(len(u), 0.3),  # wrong on purpose
    )
    error = {name: found.relevance[name].mean() - truth for name in ("naive", "dr")}
    noise = found.relevance["dr"].std() / np.sqrt(n_users)
    assert abs(error["dr"]) < 4 * noise
    assert abs(error["naive"]) > 4 * noise
