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

    print("\n4. What would overturn it?")
    doubts = [effect.sensitivity(), effect.refute(shop.log, n_draws=40)]
    for doubt in doubts:
        print(doubt.answer)

    results = [effect, by_gender, *doubts]
    path = cr.write_report(results, "effect-report.html", title="What recommending sells")
    print(f"\nThe report: {path}")


if __name__ == "__main__":
    main()
