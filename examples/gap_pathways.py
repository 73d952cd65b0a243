"""Through which pathway does a gap arise, and what could the shop do about it?

    python examples/gap_pathways.py

A simulated shop, so that the truth can be printed beside the answer: women buy more, are shown
more, and the same exposure works better. Writes `pathways-report.html`.
"""

from __future__ import annotations

import numpy as np

import causalrec as cr
from causalrec.audits import decompose_gap
from causalrec.errors import IdentificationError

BETWEEN = {"by": "gender", "groups": ("f", "m")}


def main() -> None:
    """Part the gap by exposure and by the paths of the graph, and try to overturn the parts."""
    shop = cr.simulate("shop", n_users=800, n_items=80, random_state=2)

    print("1. Is the gap there without exposure, are men shown less, or does it work less?")
    four = decompose_gap(shop.log, shop.graph, **BETWEEN)
    truth = true_parts(shop)
    for row in (four["gap"], *four.parts):
        print(
            f"   {row.label:10} {row.value:+.4f} [{row.lower:+.4f}, {row.upper:+.4f}]"
            f"   truth {truth[row.label]:+.4f}"
        )

    print("\n2. What of it runs through activity, which decides who is shown?")
    paths = decompose_gap(
        shop.log, shop.graph, method="standard_fairness", allowed_mediators=["activity"], **BETWEEN
    )
    print(f"   {paths.answer}")

    print("\n3. And through exposure alone? The graph says that no data tell:")
    alone = {"method": "standard_fairness", "allowed_mediators": ["exposed"]}
    try:
        decompose_gap(shop.log, shop.graph, **alone, **BETWEEN)
    except IdentificationError as refusal:
        print(f"   {refusal}")
    drawn = decompose_gap(shop.log, shop.graph, effect="interventional", **alone, **BETWEEN)
    print(f"   {drawn.answer}")

    print("\n4. What would overturn the four parts?")
    refuted = four.refute(n_draws=20)
    print(f"   {refuted.answer}")
    weakest = min(four.tables[1].rows[:3], key=lambda row: row[1])
    print(
        f"   The {weakest[0]} falls first: a hidden cause with {100 * weakest[1]:.1f} % of the"
        " outcome's residual variance, and as much of the weights, could bring it to zero."
    )

    print("\n5. For the memo:")
    gap, baseline = four["gap"], four["baseline"]
    print(
        f"Women buy {100 * gap.value:.1f} points more often than men (95% interval"
        f" {100 * gap.lower:.1f} to {100 * gap.upper:.1f}); {100 * baseline.value:.1f} of them"
        f" ({100 * baseline.lower:.1f} to {100 * baseline.upper:.1f}) would be there if nobody were"
        " shown anything. What the recommender adds is through who is shown, and on whom it works."
        " These are disparities through pathways, not effects of gender."
    )
    path = cr.write_report([four, refuted], "pathways-report.html", title="Through which pathway?")
    print(f"\nReport: {path}")


def true_parts(shop: cr.simulation.World) -> dict[str, float]:
    """Return the parts of these rows from their potential outcomes and true propensities."""
    log, potential = shop.log, shop.potential
    cell = (log.user_codes, log.item_codes)
    unexposed, shown = potential.expected_unexposed[cell], potential.propensity[cell]
    effect = potential.expected_exposed[cell] - unexposed
    woman = np.asarray(log.column("gender") == "f")
    means = [
        (unexposed[rows].mean(), shown[rows].mean(), effect[rows].mean(),
         np.cov(shown[rows], effect[rows], bias=True)[0, 1])
        for rows in (woman, ~woman)
    ]  # fmt: skip
    (y_f, shown_f, effect_f, cov_f), (y_m, shown_m, effect_m, cov_m) = means
    parts = {
        "baseline": y_f - y_m,
        "prevalence": effect_m * (shown_f - shown_m),
        "effect": shown_f * (effect_f - effect_m),
        "selection": cov_f - cov_m,
    }
    return {"gap": sum(parts.values()), **parts}


if __name__ == "__main__":
    main()
