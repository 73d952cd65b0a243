"""Three mitigations beside a deployed recommender of songs: what fairness each gains, at what cost.

Independent labels hold half of the catalogue and get far less than half of the attention. Two
re-rankers could change that, or make lists follow what each user has listened to. Before one is
shipped two things have to be known: by how much it changes exposure, and what it costs in relevance
that is no artefact of who rated what. Users choose what they rate, so relevance is weighted by the
propensities, and models are compared in pairs: on the same users, with their common error.

Run it from a checkout: python examples/mitigation_frontier.py
"""

from __future__ import annotations

import causalrec as cr
from causalrec.audits import (
    CalibratedReranker,
    ExposureReranker,
    browsing_weight,
    compare_mitigations,
)
from causalrec.reporting import evidence_annex

LENGTH = 10
EXPOSURE = "exposure:label_group=independent"
CALIBRATION = "miscalibration:genre"


def main() -> None:
    """Train, re-rank, compare in pairs, and write what an engineer would act on."""
    world = cr.simulate("music", n_users=1200, n_items=160, density=0.25, random_state=11)
    train, test = world.log.split(by="cell", test_size=0.4, random_state=0)
    propensity = world.potential.propensity
    deployed = cr.DebiasedMF("naive", n_factors=4, features=True, random_state=0).fit(train)
    debiased = cr.DebiasedMF("mrdr", n_factors=4, features=True, random_state=0).fit(
        train, propensity=propensity
    )
    independent = float((world.log.items["label_group"] == "independent").mean())
    # Half of the way from today's share to that of the catalogue, and all of the way.
    today = share_of_independent(deployed, train)
    half = (today + independent) / 2
    models = {
        "deployed": deployed,
        "debiased": debiased,
        "half way to parity": ExposureReranker(
            deployed, by="label_group", k=LENGTH, target={"independent": half, "major": 1 - half}
        ).fit(train),
        "parity": ExposureReranker(deployed, by="label_group", k=LENGTH).fit(train),
        "calibrated": CalibratedReranker(deployed, by="genre", tradeoff=0.7, k=LENGTH).fit(train),
    }
    found = compare_mitigations(
        test,
        models,
        accuracy=f"precision@{LENGTH}",
        relevance_threshold=4,
        fairness=[EXPOSURE, CALIBRATION],
        propensity=propensity,
        train=train,
    )
    print(f"Independent labels hold {independent:.0%} of the songs and get {today:.0%} of the")
    print("attention in the deployed lists.\n")
    for table in found.tables[:2]:
        print(f"{table.title}:")
        for model, accuracy, _, _, unfairness, *_, stands in table.rows:
            print(f"  {model:<20} {accuracy:.3f} relevant a place, {unfairness:.3f} off; {stands}")
    print("\nPaired with the deployed lists (all intervals hold together, 95%):")
    for row in found.rows:
        if row.derived_from:
            print(
                f"  {row.label}: {row.value:+.3f} [{row.lower:+.3f}, {row.upper:+.3f}], {row.note}"
            )
    path = cr.write_report(found, "mitigation-report.html")
    scope = {
        "system": "song lists of ten",
        "period": "simulated",
        "population": "new users of this catalogue",
        "intended_use": "deciding which mitigation is worth an experiment",
        "not_audited": "what users and the next model learn from other lists",
    }
    annex = cr.write_report(evidence_annex(found, scope), "mitigation-annex.html")
    print(f"\nThe frontier, with every interval, is in {path.name}; the same as evidence, in the")
    print(f"order that auditors ask for, in {annex.name}.")


def share_of_independent(model: cr.DebiasedMF, train: cr.InteractionLog) -> float:
    """Return the share of attention that songs of independent labels get from a model's lists."""
    lists = model.recommend(k=LENGTH)
    group = train.items["label_group"].to_numpy()[train.codes_of(items=lists["item_id"])]
    weight = browsing_weight(lists["rank"])
    return float(weight[group == "independent"].sum() / weight.sum())


if __name__ == "__main__":
    main()
