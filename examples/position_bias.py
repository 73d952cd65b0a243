"""What does the position do to a click, and how much of the difference is the ranker's choice?

    python examples/position_bias.py

A simulated feed, so that the truth can be printed beside the answer: fresh posts stand higher and
are clicked more wherever they stand. Writes `position-report.html`.
"""

from __future__ import annotations

import causalrec as cr


def main() -> None:
    """Compare, adjust, use the policy's own probabilities, draw the whole curve."""
    feed = cr.simulate("social", n_users=2000, n_items=60, random_state=0)
    log, graph, truth = (
        feed.log,
        cr.load_graph("feed_position"),
        feed.population_truth["effect:1-5"],
    )

    print("1. The first position against the fifth, adjusted for what decides the position:")
    adjusted = cr.estimate_effect(log, graph, contrast=(1, 5), n_repeats=1)
    print(adjusted.answer)
    print(f"The truth for new users and posts: {truth:.4f}.\n")

    print("2. The same, by the probabilities that the ranker itself used:")
    probabilities = feed.potential.propensity[log.user_codes, :, log.item_codes]
    of_position = probabilities / probabilities.sum(axis=1, keepdims=True)
    known = cr.estimate_effect(
        log,
        graph,
        contrast=(1, 5),
        propensity={1: of_position[:, 0], 5: of_position[:, 4]},
        n_repeats=1,
    )
    print(known.answer)

    print("\n3. The whole curve, with intervals that hold together:")
    curve = cr.estimate_effect(log, graph, contrast=(1, 2, 3, 4, 5), n_repeats=1)
    print(curve.answer)

    print("\n4. For the memo:")
    gap = next(row for row in adjusted.rows if row.estimator == "naive - dr")
    first, of_gap, of_known = (
        f"{100 * value:.1f} (95% interval {100 * low:.1f} to {100 * high:.1f})"
        for value, low, high in (
            (adjusted.value, *adjusted.interval()),
            (gap.value, gap.lower, gap.upper),
            (known.value, *known.interval()),
        )
    )
    print(
        f"Being shown first rather than fifth adds, in clicks per 100 impressions, {first}. The log"
        f" shows {100 * adjusted.naive:.1f}: {of_gap} of it goes with what the ranker puts on top,"
        f" which would be clicked more anywhere. The ranker's own probabilities give {of_known}."
    )

    results = [adjusted, known, curve, adjusted.by("device")]
    path = cr.write_report(results, "position-report.html", title="What a position is worth")
    print(f"\nThe report: {path}")


if __name__ == "__main__":
    main()
