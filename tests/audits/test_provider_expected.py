"""Expected exposure by hand, against the published formulas written out, and in a known world."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import causalrec as cr
from causalrec.audits._expected import disparity_of
from causalrec.audits._lists import lists_of_table
from causalrec.evaluation import Attention, expected_exposure
from causalrec.evaluation._expected_exposure import Due, ExposureLoss

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


def due(relevant: np.ndarray, attention: np.ndarray = PLACES) -> np.ndarray:
    """What items are due: the mean attention over all orders with the relevant items first."""
    places = np.r_[attention, np.zeros(relevant.shape[1] - len(attention))]
    target = np.zeros(relevant.shape)
    for user, own in enumerate(relevant):
        m = int(own.sum())
        target[user, own] = places[:m].mean() if m else 0.0
        target[user, ~own] = places[m:].mean() if m < len(places) else 0.0
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


def test_curvature_mends_users_who_differ_beyond_the_outcome_model() -> None:
    """One user likes nothing, one everything; the model, without features, cannot know."""
    lists, attention = draws(1)
    found = audit(lists.drop(columns="list"))
    loss = np.square(attention[0] - due(RELEVANT)).sum(axis=1).mean()
    assert found["loss of expected exposure (EEL@4): items"].value == pytest.approx(loss, rel=0.15)
    assert any("far beyond what the outcome model knows" in note for note in found.notes)


@pytest.mark.parametrize("parts", [30, 3])
def test_slopes_and_curvature_are_those_of_the_loss(parts: int) -> None:
    rng = np.random.default_rng(parts)
    sizes = np.full((2, parts), 30.0 / parts)
    relevant = rng.uniform(0.3, 0.6, size=(2, parts)) * sizes
    exposure, step, own = rng.random((3, 2, parts))
    share = Due(PLACES, np.full(2, 30.0))

    def at(moved: np.ndarray) -> np.ndarray:
        return ExposureLoss(exposure, relevant + moved, sizes, share).value()

    loss, h = ExposureLoss(exposure, relevant, sizes, share), 1e-4
    slope = (at(h * step) - at(-h * step)) / (2 * h)
    np.testing.assert_allclose(loss.first_order(step), slope, atol=1e-7)

    def half_curvature(along: np.ndarray) -> np.ndarray:
        return (at(h * along) - 2 * at(0 * along) + at(-h * along)) / (2 * h**2)

    nothing = np.zeros_like(step)
    np.testing.assert_allclose(loss.second_order(step, nothing), half_curvature(step), atol=1e-5)
    diagonal = sum(
        own[:, part] * half_curvature(np.eye(parts)[part][None].repeat(2, axis=0))
        for part in range(parts)
    )
    np.testing.assert_allclose(loss.second_order(nothing, own), -diagonal, atol=1e-4)


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


def known_world(seed: int, rate_known: bool) -> dict[str, float]:
    """Return the error of EER by estimator where relevant items are recorded more often."""
    rng = np.random.default_rng(seed)
    n_users, n_items, k = 200, 60, 5
    likes = np.where(rng.random(n_items) < 0.5, 0.6, 0.1)
    likes = np.clip(likes[None, :] * np.exp(0.15 * rng.normal(size=(n_users, 1))), 0.0, 0.95)
    rate = np.broadcast_to(np.where(likes.mean(axis=0) > 0.3, 0.5, 0.15), likes.shape)
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
    truth = 2 * (attention * due(relevant, places)).sum(axis=1).mean()
    found = expected_exposure(
        log,
        Attention(cells[0], cells[1], weight, np.ones(len(weight))),
        places,
        estimators=("naive", "dr"),
        propensity=rate.copy() if rate_known else float(rate.mean()),
        outcome_model=lambda u, i: np.full(len(u), 0.3),  # wrong on purpose
    )
    return {name: float(values.mean()) - truth for name, values in found.relevance.items()}


def test_recorded_relevance_misleads_and_the_corrected_one_hardly() -> None:
    """The outcome model gives every item one chance: what it misses is left to third order.

    By 2 V (mean miss of listed relevance x E d^2 / m^3 + relevance x E d^4 / m^5), with d the miss
    in a user's count m = 21 of standard deviation 5, that is .007 here; noise adds .003.
    """
    errors = [known_world(seed, rate_known=True) for seed in range(20)]
    naive, corrected = (np.array([e[name] for e in errors]) for name in ("naive", "dr"))
    noise = [x.std(ddof=1) / np.sqrt(len(x)) for x in (naive, corrected)]
    assert abs(naive.mean()) > 4 * noise[0]
    assert abs(corrected.mean()) < 0.007 + 4 * noise[1]
    assert abs(corrected.mean()) < 0.5 * abs(naive.mean())


def test_with_both_models_wrong_it_fails() -> None:
    each = np.array([known_world(seed, rate_known=False)["dr"] for seed in range(20)])
    assert abs(each.mean()) > 8 * each.std(ddof=1) / np.sqrt(len(each))
