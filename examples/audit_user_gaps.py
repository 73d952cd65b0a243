"""Does a music service work as well for every group of listeners?

    python examples/audit_user_gaps.py

Listeners choose what they rate, and those of country A choose what they like more than those of B:
recorded ratings say that B is less content, which is not so. The recommender, though, has seen few
ratings from B, and is worse there. The audit has to tell the false gap from the real one, say who
is worst off beyond chance, and what would have to be wrong for the real gap to be none. The
crossing of country and age is audited too, and the truth of the simulation stands beside. Writes
`users-report.html`, and `users-annex.html`: the same in the order that auditors ask for.
"""

from __future__ import annotations

import numpy as np

import causalrec as cr
from causalrec.reporting import AuditScope, evidence_annex

K = 10


def main() -> None:
    """Train on one part, audit the other by group of listeners, and compare with the truth."""
    music = cr.simulate("music", n_users=900, n_items=160, density=0.25, random_state=5)
    train, test = music.log.split(by="cell", test_size=0.5, random_state=0)
    propensity = cr.PropensityModel().fit(music.log, graph=music.graph)
    # The service came to country B late: a tenth of the ratings from there were used in training.
    late = (train.users["country"] == "B").to_numpy()[train.user_codes]
    seen = ~late | (np.random.default_rng(0).random(train.n_rows) < 0.1)
    recommender = cr.DebiasedMF("naive", n_factors=2, regularization=1.0).fit(train.select(seen))
    audit = cr.audit(
        test,
        recommender,
        train=train,
        user_groups=["country", "age_group", ("country", "age_group")],
        item_groups=["genre"],
        propensity=propensity,
        graph=music.graph,
        metrics=["mean", "mse"],
        estimators=["naive", "snips", "dr"],
        measures=["unfairness", "miscalibration"],
        k=K,
    )
    print("1. Gaps between the countries, as recorded, corrected, and in truth (B minus A):")
    for metric, truth in truths(music, recommender, train).items():
        naive, corrected = (gap(audit, metric, end) for end in (" (naive)", ""))
        print(f"   {metric:5} naive {naive:24} corrected (DR) {corrected:24} truth {truth:+.2f}")

    print("\n2. Who is worst off, beyond what chance makes of the largest difference?")
    for line in table(audit, "spread").query("estimator == 'dr'").itertuples():
        print(
            f"   {line.measure}, {line.attribute}: {line[4]} to {line[5]}, {line[7]:.2f} apart,"
            f" {line[8]:.2f} by chance, p {line[10]:.3f}"
        )
    fair = table(audit, "unfairness").query("measure == 'value' and estimator == 'snips'")
    for line in fair.itertuples():
        print(
            f"   value unfairness, {line.label.split(':')[0]}: {line.unfairness:.2f}, with"
            f" exchanged labels {line[7]:.2f}, p {line[9]:.3f}"
        )

    print("\n3. What would explain a gap away? (Lambda*, the factor by which odds are wrong)")
    for line in table(audit, "sensitivity of gaps").itertuples():
        if line[6] > 1.0:
            print(f"   {line.measure}, {line.attribute}, {line.gap}: {line[5]:.2f}")

    print(f"\n{audit.answer}")
    path = cr.write_report(audit, "users-report.html", title="Does it work for all?")
    scope = AuditScope(
        system="a simulated music service, its trained recommender",
        population=f"{music.log.n_users:,} listeners, by country and age",
        exclusions="cells that the recommender was trained on",
        intended_use="to say whether lists work as well for every group",
        out_of_scope="what listening does to later taste",
        independence="an example: the auditor wrote the service",
    )
    annex = cr.write_report(evidence_annex(audit, scope), "users-annex.html")
    print(f"\nThe report: {path}; the same as evidence, in the order auditors ask for: {annex}")


def gap(audit: cr.Result, metric: str, end: str) -> str:
    """Return the gap of B minus A with its interval, whichever of them is the reference."""
    (row,) = (
        row for row in audit.rows
        if row.label in {f"{metric} gap, country: {pair}{end}" for pair in ("B - A", "A - B")}
    )  # fmt: skip
    sign = 1.0 if ": B - A" in row.label else -1.0
    lower, upper = sorted((sign * row.lower, sign * row.upper))
    return f"{sign * row.value:+.2f} [{lower:+.2f}, {upper:+.2f}]"


def table(audit: cr.Result, name: str) -> object:
    """Return a table of the audit as a frame."""
    return next(one for one in audit.tables if one.name == name).to_frame()


def truths(music: object, recommender: cr.DebiasedMF, train: cr.InteractionLog) -> dict[str, float]:
    """Return the true gaps over all cells outside the training part."""
    log = music.log
    users, items = (code.ravel() for code in np.indices((log.n_users, log.n_items)))
    rating = music.potential.expected_rating.ravel()
    variance = np.broadcast_to(music.potential.rating_variance, (log.n_users, log.n_items)).ravel()
    predicted = recommender.predict(log.user_ids[users], log.item_ids[items])
    outside = np.ones((log.n_users, log.n_items), dtype=bool)
    outside[train.user_codes, train.item_codes] = False
    in_b = (log.users["country"] == "B").to_numpy()[users]
    losses = {"mean": rating, "mse": (predicted - rating) ** 2 + variance}
    return {
        name: float(loss[outside.ravel() & in_b].mean() - loss[outside.ravel() & ~in_b].mean())
        for name, loss in losses.items()
    }


if __name__ == "__main__":
    main()
