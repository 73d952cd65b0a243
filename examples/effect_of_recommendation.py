"""What does recommending a product sell, for whom, and what would overturn the answer?

    python examples/effect_of_recommendation.py

A simulated shop, so that the truth can be printed beside the answer. Writes `effect-report.html`.
"""

from __future__ import annotations

import causalrec as cr


def main() -> None:
    """Estimate, group, doubt, report."""
    shop = cr.simulate("shop", n_users=400, n_items=100, random_state=0)
    graph = cr.load_graph("exposure_click")

    print("1. Does the declared graph hold against the log?")
    print(cr.check_graph(graph, shop.log).answer, "\n")

    print("2. What does being recommended cause?")
    effect = cr.estimate_effect(shop.log, graph)
    print(effect.answer)
    print(f"The truth for new users and items: {shop.population_truth['ate']:.4f}.\n")

    print("3. For whom?")
    by_gender = effect.by("gender")
    print(by_gender.answer)
    for group in ("f", "m"):
        print(f"   truth for {group}: {shop.population_truth[f'ate:gender={group}']:.4f}")

    print("\n4. Do other estimators say the same?")
    beside = effect.compare_estimators()
    print(beside.answer)

    print("\n5. What would overturn it?")
    sensitivity, refuted = effect.sensitivity(), effect.refute(shop.log, n_draws=40)
    print(sensitivity.answer)
    print(refuted.answer)

    print("\n6. For the memo:")
    low, high = effect.interval()
    strength = sensitivity["robustness value at 95%"].value
    print(
        f"Recommending a product raises its chance of being bought by {100 * effect.value:.1f}"
        f" points (95% interval {100 * low:.1f} to {100 * high:.1f}). The products that were"
        f" recommended sell {100 * effect.naive:.1f} points more than the others, but"
        f" {1 - effect.value / effect.naive:.0%} of that they would have sold anyway, as far as"
        " age, activity, price and quality tell. Something that nobody measured would have to"
        f" explain {strength:.0%} of what is left of both recommending and buying before the"
        " interval reached zero. The figure is for one product with the rest of its list as it was;"
        " it is not what a new recommender would add."
    )

    # One page: the results about the effect become its sections, under one ledger.
    results = [effect, beside, by_gender, refuted, sensitivity]
    path = cr.write_report(results, "effect-report.html", title="What recommending sells")
    print(f"\nThe report: {path}")


if __name__ == "__main__":
    main()
