"""The ten (hundred) best unseen items of 6,040 users out of 3,706, from given factors.

Peer: `implicit`'s `recommend` with what was liked filtered. Quality: the same lists.
"""

from __future__ import annotations

from _timing import check, compare, has, say_versions, show  # before numpy

# isort: split

from types import SimpleNamespace

import numpy as np
from _world import FACTORS, ITEMS, USERS, by_user, draw

from causalrec.factorization._ranking import USERS_AT_ONCE, ranked_blocks


def main() -> None:
    say_versions("implicit")
    world = draw()
    rng = np.random.default_rng(0)
    left, right = (rng.normal(size=(n, FACTORS)).astype(np.float32) for n in (USERS, ITEMS))
    state = SimpleNamespace(
        low_rank=(left, right),
        seen_pointer=world.pattern.user_pointer,
        seen_items=world.pattern.items,
        may_not_list=lambda users, seen, eligible: None,  # the log declares no eligibility
    )
    users = np.arange(USERS)

    def ours(k: int) -> list[np.ndarray]:
        found = ranked_blocks(state, users, k, exclude_seen=True, kernel="numba")
        return [np.concatenate(column) for column in zip(*found, strict=True)]

    memory = np.empty((USERS_AT_ONCE, ITEMS), np.float32)

    def scores_alone(reuse: bool) -> None:
        for at in range(0, USERS, USERS_AT_ONCE):
            part = left[at : at + USERS_AT_ONCE]
            np.matmul(part, right.T, out=memory[: len(part)] if reuse else None)

    lines = []
    for k in (10, 100):
        peers = {
            "the scores alone, into new memory": lambda: scores_alone(False),
            "the scores alone, into the same memory": lambda: scores_alone(True),
        }
        if has("implicit"):
            from implicit.cpu.als import AlternatingLeastSquares

            model = AlternatingLeastSquares(factors=FACTORS, num_threads=1)
            model.user_factors, model.item_factors = left, right
            liked = by_user(world, np.ones(world.pattern.n, np.float32))
            # Ids and scores for all users at once, as its documentation does.
            theirs, _ = model.recommend(users, liked, N=k)
            same = np.mean(theirs.ravel() == ours(k)[2])
            check(f"the same lists of {k}, ties apart ({same:.3%} of places)", same > 0.999)
            peers["implicit recommend"] = lambda m=model, s=liked, k=k: m.recommend(users, s, N=k)
        lines += compare(f"top {k} of every user, seen left out", lambda k=k: ours(k), peers)
    show(lines)


if __name__ == "__main__":
    main()
