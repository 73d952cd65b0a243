"""Do small labels get the attention that their songs earn?

    python examples/audit_music_providers.py

A simulated music service with 24 small and 8 big labels, whose listeners choose what they rate. The
recommender learned from those ratings, and its lists favour the big labels. Do they merely follow
what listeners like? The audit holds attention against merit, the chance that a listener likes a
song, over all songs and not only the rated ones, with the errors of both; the truth of the
simulation stands beside. Writes `providers-report.html`.
"""

from __future__ import annotations

import numpy as np

import causalrec as cr

K = 10
LIKED = 4.0
GROUPS = "label_group: independent / major"


def main() -> None:
    """Train on one part, audit the lists on the other, and compare with the truth."""
    music = cr.simulate("music", n_users=800, n_items=300, density=0.3, random_state=3)
    train, test = music.log.split(by="cell", test_size=0.5, random_state=0)
    propensity = cr.PropensityModel().fit(music.log, graph=music.graph)
    recommender = cr.DebiasedMF("naive", n_factors=12, regularization=0.5).fit(train)
    audit = cr.audit(
        test,
        recommender,
        train=train,
        item_groups=["label_group"],
        propensity=propensity,
        graph=music.graph,
        metrics="mean",
        estimators=["naive", "dr"],
        relevance_threshold=LIKED,
        k=K,
        measures=["exposure", "target", "merit", "concentration"],
    )

    print("1. What the lists give, which is seen:")
    attention = audit[f"exposure@{K} ratio, {GROUPS}"]
    print(f"   Attention of a song, independent over major: {with_interval(attention)}")
    gini, chance = (audit[f"gini of exposure@{K}{x}"] for x in ("", " (uniform random lists)"))
    print(
        f"   Gini of attention over all songs: {with_interval(gini)}; random lists give"
        f" {chance.value:.3f}"
    )

    print("\n2. Held against merit (the chance that a listener likes the song), which is not seen:")
    header = ("independent over major", "by rated songs alone", "corrected (DR)", "truth")
    print("   {:31}{:22}{:22}{}".format(*header))
    for name, metric, truth in comparisons(music, recommender, train):
        naive, corrected = audit[f"{metric} (naive)"], audit[metric]
        columns = f"{with_interval(naive):22}{with_interval(corrected):22}"
        print(f"   {name:31}{columns}{truth:.2f}")

    print("\n3. In one number each, with what sampling alone would give:")
    for metric in (f"distance from target (AWRF@{K})", f"inequity of attention (IAA@{K})"):
        row = audit[f"{metric}: label_group"]
        print(f"   {metric}: {with_interval(row)}; {row.note.rsplit('; ', 1)[-1]}")

    row = audit[f"exposure for merit (DTR@{K}) ratio, {GROUPS}"]
    print(f"\n{verdict(row)}")
    path = cr.write_report(audit, "providers-report.html", title="Do labels get what they earn?")
    print(f"\nThe report: {path}")


def with_interval(row: cr.results.Row) -> str:
    """Return a value with its interval."""
    if row.lower is None or row.upper is None:
        return f"{row.value:.2f} (no interval)"
    return f"{row.value:.2f} [{row.lower:.2f}, {row.upper:.2f}]"


def comparisons(
    music: object, recommender: cr.DebiasedMF, train: cr.InteractionLog
) -> list[tuple[str, str, float]]:
    """Return the ratios that need merit, and what the potential outcomes say they are."""
    attention = np.zeros(music.potential.rating.shape)
    users, items = np.indices(attention.shape).reshape(2, -1)
    score = recommender.predict(train.user_ids[users], train.item_ids[items])
    score = np.asarray(score, dtype=np.float64).reshape(attention.shape)
    score[train.user_codes, train.item_codes] = -np.inf
    best = np.argsort(-score, axis=1, kind="stable")[:, :K]
    weight = np.broadcast_to(1.0 / np.log2(np.arange(2, K + 2)), best.shape)
    np.put_along_axis(attention, best, weight, axis=1)
    liked = music.potential.rating >= LIKED
    unseen = np.ones(attention.shape, dtype=bool)
    unseen[train.user_codes, train.item_codes] = False
    small = (music.items["label_group"] == "independent").to_numpy()

    def ratio(above: np.ndarray, below: np.ndarray) -> float:
        sides = [
            (above * unseen)[:, side].sum() / (below * unseen)[:, side].sum()
            for side in (small, ~small)
        ]
        return float(sides[0] / sides[1])

    return [
        ("attention for merit (DTR)", f"exposure for merit (DTR@{K}) ratio, {GROUPS}",
         ratio(attention, liked)),
        ("likes earned for merit (DIR)", f"impact for merit (DIR@{K}) ratio, {GROUPS}",
         ratio(attention * liked, liked)),
    ]  # fmt: skip


def verdict(row: cr.results.Row) -> str:
    """Return what an engineer can act on."""
    assert row.value is not None
    assert row.lower is not None
    assert row.upper is not None
    if row.lower > 1.0 or row.upper < 1.0:
        side = "less" if row.value < 1.0 else "more"
        return (
            f"Per like that they would earn, songs of small labels get {side} attention than those"
            f" of big labels: {with_interval(row)} times as much. Re-rank by exposure for merit and"
            " audit again; attention equal to the catalogue's shares is another aim, not this one."
        )
    return (
        "Attention for merit cannot be told from equal between small and big labels: "
        f"{with_interval(row)}. With so few labels a smaller gap would not be seen."
    )


if __name__ == "__main__":
    main()
