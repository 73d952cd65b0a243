"""What is no option, or no log, is refused at the door, in words, before any work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import causalrec as cr
from causalrec.errors import CausalRecError, DataError, StudyError


@pytest.fixture(scope="module")
def shop() -> Any:
    return cr.simulate("shop", n_users=40, n_items=20, random_state=0)


@pytest.fixture(scope="module")
def music() -> Any:
    return cr.simulate("music", n_users=40, n_items=20, random_state=0)


@pytest.fixture(scope="module")
def model(music: Any) -> cr.DebiasedMF:
    return cr.DebiasedMF("ips", n_factors=2).fit(music.log, 0.2)


Call = Callable[[Any, Any, Any], object]
SEED, WHOLE, LOG = r"random_state='a' must be", "must be a whole number", "takes an InteractionLog"
REFUSED: dict[str, tuple[Call, type[CausalRecError], str]] = {
    "a seed of a world": (lambda *_: cr.simulate("shop", random_state="a"), StudyError, SEED),
    "a seed of a split": (lambda s, m, f: m.log.split(random_state="a"), StudyError, SEED),
    "a seed of an effect": (
        lambda s, m, f: cr.estimate_effect(s.log, s.graph, random_state="a"),
        StudyError, SEED,
    ),
    "half a fold": (
        lambda s, m, f: cr.estimate_effect(s.log, s.graph, n_folds=2.5),
        StudyError, f"n_folds=2.5 {WHOLE} of at least 2",
    ),
    "one fold": (
        lambda s, m, f: cr.estimate_effect(s.log, s.graph, n_folds=1), StudyError, "at least 2"
    ),
    "one value": (
        lambda s, m, f: cr.estimate_effect(s.log, s.graph, contrast=1),
        StudyError, "no two values",
    ),
    "a table for a log": (
        lambda s, m, f: cr.estimate_effect(s.log.events, s.graph), DataError, f"log= {LOG}, not a D"
    ),
    "a seed of a mean": (
        lambda s, m, f: cr.estimate_mean(m.log, 0.2, random_state="a"),
        StudyError, SEED,
    ),
    "a table to take the mean of": (
        lambda s, m, f: cr.estimate_mean(m.log.events, 0.2), DataError, LOG
    ),
    "no number of a doubt": (
        lambda s, m, f: cr.bounds(m.log, kind="msm", lam="a", propensity=0.2),
        StudyError, "lam='a' must be a number of at least 1",
    ),
    "a seed of a model": (
        lambda s, m, f: cr.DebiasedMF("ips", random_state="a").fit(m.log, 0.2),
        StudyError, SEED,
    ),
    "a table to train on": (
        lambda s, m, f: cr.DebiasedMF("ips").fit(m.log.events), DataError, LOG
    ),
    "folds in letters": (
        lambda s, m, f: cr.tune(f, m.log, 0.2, n_folds="a"), StudyError, WHOLE
    ),
    "a list of no length": (
        lambda s, m, f: f.recommend(m.log.user_ids[:1], k=0), StudyError, f"k=0 {WHOLE}"
    ),
    "several users to explain": (
        lambda s, m, f: f.explain(np.array([0, 1]), 3), DataError, "one user id, not 2"
    ),
    "a clip in letters": (
        lambda s, m, f: cr.PropensityModel(clip="a").fit(m.log), StudyError, "clip must lie"
    ),
    "a ridge in letters": (
        lambda s, m, f: cr.PropensityModel(regularization="a").fit(m.log),
        StudyError, "regularization='a' must be a number",
    ),
    "a class for a model": (
        lambda s, m, f: cr.evaluate(cr.DebiasedMF, m.log, propensity=0.2), StudyError, "the class"
    ),
    "a table to evaluate on": (
        lambda s, m, f: cr.evaluate(f, m.log.events, propensity=0.2), DataError, LOG
    ),
    "a seed of an audit": (
        lambda s, m, f: cr.audit(m.log, f, user_groups="country", propensity=0.2, random_state="a"),
        StudyError, SEED,
    ),
    "a list of two and a half": (
        lambda s, m, f: cr.audit(m.log, f, user_groups="country", propensity=0.2, k=2.5),
        StudyError, f"k=2.5 {WHOLE}",
    ),
    "a smallest group in letters": (
        lambda s, m, f: cr.audit(m.log, f, user_groups="country", propensity=0.2, min_cell="a"),
        StudyError, f"min_cell='a' {WHOLE}",
    ),
    "a table of a policy": (
        lambda s, m, f: cr.policy_value(m.log.events), DataError, LOG
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_means_nothing_is_refused_in_words(
    name: str, shop: Any, music: Any, model: cr.DebiasedMF
) -> None:
    call, error, words = REFUSED[name]
    with pytest.raises(error, match=words):
        call(shop, music, model)
