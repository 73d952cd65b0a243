"""Which policy would earn more, before anybody runs it, and how far is the log able to tell?

    python examples/off_policy_value.py

A simulated feed, so that the truth can be printed beside the answers, then the logs of a real
bandit (Open Bandit sample, inside the package). Writes `policy-report.html`.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.special import softmax

import causalrec as cr
from causalrec.evaluation import reconstruct_policy

ESTIMATORS = ["dr", "snips", "ips", "shrinkage_dr"]


def candidates(feed: object) -> dict[str, np.ndarray]:
    """Return the policies in question: probabilities of every post for every user."""
    log, freshness = feed.log, feed.items["freshness"].to_numpy()
    ranked = feed.potential.target_policy
    return {
        "uniform": np.full((log.n_users, log.n_items), 1.0 / log.n_items),
        "by interest": ranked,
        "by interest, sharper": softmax(3.0 * np.log(ranked), axis=1),
        "freshest": np.tile(softmax(4.0 * freshness), (log.n_users, 1)),
    }


def compare(feed: object) -> list[cr.Result]:
    """Value every candidate from one log, then say which differ."""
    log = feed.log
    results, estimates = [], []
    print("policy                  clicks per 100 impressions [95 %]   truth  effective rows")
    for name, probabilities in candidates(feed).items():

        def policy(rows: cr.InteractionLog, table: np.ndarray = probabilities) -> np.ndarray:
            return table[rows.user_codes]

        policy.words = f"the policy {name!r}"
        value = cr.policy_value(log, policy, estimator=ESTIMATORS)
        results.append(value)
        estimates.append(value.internal("estimate")["dr"].relabel([name]))
        row, truth = value.rows[0], feed.potential.policy_value(probabilities)
        print(
            f"{name:22}  {100 * row.value:5.2f} [{100 * row.lower:.2f}, {100 * row.upper:.2f}]"
            f"             {100 * truth:5.2f}  {row.effective_sample_size:12,.0f}"
        )
    together = cr.Estimate.stack(estimates)
    gaps = together.contrast(
        {f"{b} - {a}": {b: 1.0, a: -1.0} for a, b in combinations(together.labels, 2)}
    )
    print("\nOn the same rows, with intervals that hold together:")
    bounds = gaps.simultaneous_interval()
    for label, gap, (low, high) in zip(gaps.labels, gaps.value, bounds, strict=True):
        verdict = "cannot be told apart" if low <= 0 <= high else "differ"
        print(f"  {label}: {100 * gap:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]: {verdict}")
    return results


def beyond_the_log() -> cr.Result:
    """Ask for a policy that shows what the log never shows to some users."""
    feed = cr.simulate("social", n_users=1500, n_items=60, random_state=1, unsupported=0.3)
    value = cr.policy_value(feed.log, "uniform", estimator=["dr", "ips"])
    overlap = next(found for found in value.assumptions if found.name == "overlap")
    print(f"{overlap.status.upper()}: {overlap.evidence}")
    print("The value of the rest is not in this log: show those posts to some users first.")
    return value


def bandit() -> list[cr.Result]:
    """Value a real bandit's log for the uniform policy, and the uniform log for the bandit."""
    learned = cr.datasets.open_bandit(policy="bts", campaign="men")
    uniform = cr.datasets.open_bandit(policy="random", campaign="men")
    there = cr.policy_value(learned, "uniform", estimator=["dr", "ips"], adaptive=True)
    back = cr.policy_value(uniform, reconstruct_policy(learned), estimator=ESTIMATORS)
    for words, value, own in (
        ("uniform, from the bandit's log", there, uniform),
        ("the bandit, from the uniform log", back, learned),
    ):
        row, seen = value.rows[0], own.outcome.mean()
        error = own.outcome.std() / np.sqrt(own.n_rows)
        print(
            f"{words}: {100 * row.value:.2f} % clicks (95% interval {100 * row.lower:.2f} to"
            f" {100 * row.upper:.2f}); its own log says {100 * seen:.2f} (+- {196 * error:.2f})"
        )
    print("The bandit learned as it went, so its rows are weighted by time:")
    print(next(a.statement for a in there.assumptions if a.name == "adaptive logging"))
    return [there, back]


def main() -> None:
    """Compare candidates, look for what the log cannot say, then a log that learned."""
    feed = cr.simulate("social", n_users=3000, n_items=60, random_state=0)
    print("1. Four policies, from the log of a fifth:\n")
    results = compare(feed)

    print("\n2. A whole slate rather than an impression, if places do not compete:")
    slate = cr.policy_value(feed.log, "uniform", estimator=["dr", "ips"], slate_model="independent")
    print(slate.answer)

    print("\n3. A policy that the log cannot speak for:")
    thin = beyond_the_log()

    print("\n4. A log whose policy learned as it went:")
    adaptive = bandit()

    path = cr.write_report(
        [*results, slate, thin, *adaptive],
        "policy-report.html",
        title="What other policies would earn",
    )
    print(f"\nThe report: {path}")


if __name__ == "__main__":
    main()
