"""An A/B arm that only encourages: what does watching because of it do?

    python examples/ab_encouragement.py

A hidden taste decides both what is shown and what is watched, so adjustment cannot help; the arm
was drawn by a coin, so it can. Writes `encouragement-report.html`.
"""

from __future__ import annotations

import causalrec as cr


def main() -> None:
    """Adjust in vain, then use the arm."""
    video = cr.simulate("video", n_users=600, n_items=100, unmeasured=1.0, random_state=0)

    print("1. Adjusting for what was measured is refused, because a taste was not:")
    try:
        cr.estimate_effect(video.log, video.graph)
    except cr.errors.IdentificationError as refusal:
        print(f"   {refusal}\n")

    print("2. The arm of the test is an instrument:")
    effect = cr.estimate_effect(video.log, video.graph, estimator="iv")
    print(f"   {effect.answer}")
    print(
        f"   The truth for those whom the arm moves: {video.population_truth['late']:.3f} minutes."
    )

    path = cr.write_report(effect, "encouragement-report.html")
    print(f"\nThe report: {path}")


if __name__ == "__main__":
    main()
