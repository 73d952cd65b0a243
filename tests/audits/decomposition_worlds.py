"""Worlds whose decompositions are known: by closed form where there is one, else by a large draw.

`four_parts` is the world of users in two groups, ten candidates each, whose truth is about
(.220, -.017, .077, -.002); `pathways` that of the standard fairness model with linear laws and an
interaction; `witness` has an effect of the group that decides mediator and outcome.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy.special import expit

import causalrec as cr

Floats = np.ndarray


@dataclass(frozen=True)
class World:
    """A log, its graph, and the arrays behind it."""

    log: cr.InteractionLog
    graph: cr.CausalGraph
    truth: dict[str, float]


# ---------------------------------------------------------------- exposure: four parts
N_USERS, PER_USER, N_ITEMS = 500, 10, 97
FOUR = cr.CausalGraph.from_dot(
    "digraph four { exposed [role=exposure]; bought [role=outcome]; team [entity=user];"
    " taste [entity=user]; match [entity=event]; team -> {exposed bought};"
    " {taste match} -> {exposed bought}; exposed -> bought }"
)


def _four_laws(
    team: Floats, taste: Floats, match: Floats, hidden: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return propensity, E[Y0] and the effect of each row; team 1 is a, 0 is b."""
    p = expit(-0.6 * team + 0.5 * taste + 0.4 * match + hidden)
    baseline = 0.18 * team + 0.2 * taste + 0.1 * match + 0.5 * hidden
    effect = 0.16 + 0.203 * team + 0.02 * taste - 0.018 * team * taste
    return p, baseline, effect


def four_parts(seed: int, *, hidden: float = 0.0, items: float = 0.0) -> World:
    """Draw users of two teams and their candidates.

    `hidden` is the size of a confounder, `items` that of what items add to outcome and effect.
    """
    rng = np.random.default_rng(seed)
    team = (rng.random(N_USERS) < 0.5).astype(np.float64)
    taste = 0.1 * (2 * team - 1) + rng.normal(size=N_USERS)
    user = np.repeat(np.arange(N_USERS), PER_USER)
    n = len(user)
    match, unseen = rng.normal(size=n), hidden * rng.normal(size=n) * (1 + team[user])
    p, baseline, effect = _four_laws(team[user], taste[user], match, unseen)
    exposed = (rng.random(n) < p).astype(int)
    item = rng.integers(0, N_ITEMS, n)
    of_item = items * rng.normal(size=(2, N_ITEMS))[:, item]
    noise = 0.3 * rng.normal(size=N_USERS)[user] + 0.5 * rng.normal(size=n)
    noise += of_item[0] + of_item[1] * exposed
    events = pd.DataFrame({
        "user_id": user, "item_id": item, "exposed": exposed, "match": match,
        "bought": baseline + effect * exposed + noise,
    })  # fmt: skip
    users = pd.DataFrame(
        {"user_id": np.arange(N_USERS), "team": np.where(team == 1, "a", "b"), "taste": taste}
    )
    log = cr.InteractionLog(events, users=users, outcome="bought", exposure="exposed")
    return World(log, FOUR, four_truth())


PROVIDERS = cr.CausalGraph.from_dot(
    "digraph providers { exposed [role=exposure]; bought [role=outcome]; team [entity=item];"
    " taste [entity=item]; match [entity=event]; team -> {exposed bought};"
    " {taste match} -> {exposed bought}; exposed -> bought }"
)
N_PROVIDERS, PER_PROVIDER = 48, 5


def four_providers(seed: int) -> World:
    """Draw items of 48 providers, 12 of them of team a, by the laws of `four_parts`.

    Providers add to outcome and effect, so that rows of one provider are no independent ones.
    """
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(N_PROVIDERS), PER_PROVIDER)
    team = (owner < 12).astype(np.float64)
    taste = 0.1 * (2 * team - 1) + rng.normal(size=len(owner))
    user = np.repeat(np.arange(120), 40)
    item = np.concatenate([rng.permutation(len(owner))[:40] for _ in range(120)])
    n, of_owner = len(user), rng.normal(size=(2, N_PROVIDERS))[:, owner[item]]
    match = rng.normal(size=n)
    p, baseline, effect = _four_laws(team[item], taste[item], match, np.zeros(n))
    exposed = (rng.random(n) < p).astype(int)
    bought = baseline + 0.2 * of_owner[0] + (effect + 0.1 * of_owner[1]) * exposed
    events = pd.DataFrame({
        "user_id": user, "item_id": item, "exposed": exposed, "match": match,
        "bought": bought + 0.2 * rng.normal(size=120)[user] + 0.5 * rng.normal(size=n),
    })  # fmt: skip
    items = pd.DataFrame({
        "item_id": np.arange(len(owner)), "owner": owner, "taste": taste,
        "team": np.where(team == 1, "a", "b"),
    })  # fmt: skip
    log = cr.InteractionLog(
        events, items=items, outcome="bought", exposure="exposed", provider="owner"
    )
    return World(log, PROVIDERS, four_truth())


@cache
def four_truth() -> dict[str, float]:
    """Return the four parts, by Gauss-Hermite quadrature over taste and match."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    first, second = np.meshgrid(nodes, nodes, indexing="ij")
    joint = np.outer(weights, weights)
    found: dict[int, tuple[float, ...]] = {}
    for team in (1, 0):
        taste = first + 0.1 * (2 * team - 1)
        p, y0, tau = _four_laws(np.full_like(taste, team), taste, second, 0.0)
        t, effect = (joint * p).sum(), (joint * tau).sum()
        found[team] = ((joint * y0).sum(), t, effect, (joint * p * tau).sum() - t * effect)
    (y_a, t_a, tau_a, cov_a), (y_b, t_b, tau_b, cov_b) = found[1], found[0]
    parts = {
        "baseline": y_a - y_b,
        "prevalence": tau_b * (t_a - t_b),
        "effect": t_a * (tau_a - tau_b),
        "selection": cov_a - cov_b,
    }
    return {"gap": sum(parts.values()), **parts}


# ---------------------------------------------------------------- the standard fairness model
PATHS = cr.CausalGraph.from_dot(
    "digraph paths { team [entity=user]; age [entity=user]; activity [role=mediator, entity=user];"
    " click [role=outcome]; age -> team; {team age} -> activity; {team age activity} -> click }"
)
PATH_USERS = 2000


def pathways(seed: int, *, hidden: float = 0.0, n: int = PATH_USERS) -> World:
    """Draw one impression a user: X = 1 in group a."""
    rng = np.random.default_rng(seed)
    age = rng.normal(size=n)
    team = (rng.random(n) < expit(0.5 * age)).astype(np.float64)
    unseen = hidden * rng.normal(size=n)
    activity = 0.5 * team + 0.4 * age + unseen + rng.normal(size=n)
    click = 0.3 * team + 0.5 * activity + 0.4 * age + 0.2 * team * activity + unseen
    users = pd.DataFrame({
        "user_id": np.arange(n), "team": np.where(team == 1, "a", "b"), "age": age,
        "activity": activity,
    })  # fmt: skip
    events = pd.DataFrame({
        "user_id": np.arange(n), "item_id": np.arange(n) % 50, "slate": np.arange(n),
        "place": 1, "click": click + rng.normal(size=n),
    })  # fmt: skip
    log = cr.InteractionLog(
        events, users=users, outcome="click", kind="impressions", slate="slate", position="place"
    )
    return World(log, PATHS, paths_truth())


@cache
def paths_truth() -> dict[str, float]:
    """Return the parts in closed form, from the mean age of each group (by quadrature)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    share = float((weights * expit(0.5 * nodes)).sum())
    older = float((weights * nodes * expit(0.5 * nodes)).sum()) / share
    younger = float((weights * nodes * expit(-0.5 * nodes)).sum()) / (1 - share)

    def mean(x: float, mediator_of: float, age: float) -> float:
        activity = 0.5 * mediator_of + 0.4 * age
        return 0.3 * x + 0.5 * activity + 0.4 * age + 0.2 * x * activity

    b, a_mixed = mean(0, 0, younger), mean(1, 0, younger)
    c, d = mean(1, 1, younger), mean(1, 1, older)
    return {"gap": d - b, "direct": a_mixed - b, "indirect": c - a_mixed, "spurious": d - c}


# ---------------------------------------------------------------- a recanting witness
WITNESS = cr.CausalGraph.from_dot(
    "digraph witness { team [entity=user]; age [entity=user]; habit [entity=user];"
    " mainstream [role=mediator, entity=event]; click [role=outcome]; age -> team;"
    " {team age} -> habit; {team habit age} -> mainstream; {team habit mainstream age} -> click }"
)


def _habit(rng: np.random.Generator, x: Floats, age: Floats) -> Floats:
    return (rng.random(len(age)) < expit(-0.3 + 0.8 * x + 0.4 * age)).astype(np.float64)


def _mainstream(rng: np.random.Generator, x: Floats, habit: Floats, age: Floats) -> Floats:
    p = expit(-0.2 + 0.7 * x + 0.9 * habit + 0.3 * age)
    return (rng.random(len(age)) < p).astype(np.float64)


def _click(x: Floats, habit: Floats, mainstream: Floats, age: Floats) -> Floats:
    return (
        0.3 * x + 0.5 * mainstream + 0.6 * habit + 0.4 * age + 0.3 * x * mainstream
        + 0.5 * habit * mainstream
    )  # fmt: skip


def witness(seed: int, n: int = 2500) -> World:
    """Draw one impression a user; habit, which the group changes, decides mediator and outcome."""
    rng = np.random.default_rng(seed)
    age = rng.normal(size=n)
    x = (rng.random(n) < expit(0.5 * age)).astype(np.float64)
    habit = _habit(rng, x, age)
    mainstream = _mainstream(rng, x, habit, age)
    click = _click(x, habit, mainstream, age) + rng.normal(size=n)
    users = pd.DataFrame(
        {"user_id": np.arange(n), "team": np.where(x == 1, "a", "b"), "age": age, "habit": habit}
    )
    events = pd.DataFrame({
        "user_id": np.arange(n), "item_id": np.arange(n) % 50, "slate": np.arange(n),
        "place": 1, "mainstream": np.where(mainstream == 1, "yes", "no"), "click": click,
    })  # fmt: skip
    log = cr.InteractionLog(
        events, users=users, outcome="click", kind="impressions", slate="slate", position="place"
    )
    return World(log, WITNESS, witness_truth())


@cache
def witness_truth() -> dict[str, float]:
    """Return the interventional parts by summing over habit and mediator, quadrature over age."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    of_b = weights * expit(-0.5 * nodes)
    of_a = weights * expit(0.5 * nodes)
    of_b, of_a = of_b / of_b.sum(), of_a / of_a.sum()

    def habit(x: int, h: int) -> Floats:
        p = expit(-0.3 + 0.8 * x + 0.4 * nodes)
        return p if h else 1 - p

    def law(x: int, h: int, s: int) -> Floats:
        p = expit(-0.2 + 0.7 * x + 0.9 * h + 0.3 * nodes)
        return p if s else 1 - p

    def mediated(x: int, s: int) -> Floats:
        return habit(x, 0) * law(x, 0, s) + habit(x, 1) * law(x, 1, s)

    pairs = [(h, s) for h in (0, 1) for s in (0, 1)]

    def together(x: int, of: Floats) -> float:
        return sum(
            float((of * habit(x, h) * law(x, h, s) * _click(x, h, s, nodes)).sum())
            for h, s in pairs
        )

    def drawn(x: int, law_of: int) -> float:
        return sum(
            float((of_b * habit(x, h) * mediated(law_of, s) * _click(x, h, s, nodes)).sum())
            for h, s in pairs
        )

    direct, indirect = drawn(1, 0) - drawn(0, 0), drawn(1, 1) - drawn(1, 0)
    total = together(1, of_b) - together(0, of_b)
    spurious = together(1, of_a) - together(1, of_b)
    return {
        "gap": total + spurious, "direct": direct, "indirect": indirect,
        "remainder": total - direct - indirect, "spurious": spurious,
    }  # fmt: skip
