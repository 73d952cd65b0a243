"""Heterogeneity by declared modifiers: algebra, words and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import causalrec as cr
from causalrec.effects import effect_modifiers
from causalrec.errors import DataError, ResultError, StudyError


@pytest.fixture(scope="module")
def world() -> Any:
    return cr.simulate("shop", n_users=300, n_items=60, model="linear", random_state=3)


@pytest.fixture(scope="module")
def effect(world: Any) -> Any:
    return cr.estimate_effect(world.log, world.graph, n_repeats=1)


def test_a_regression_on_one_attribute_gives_the_groups_and_their_gap(effect: Any) -> None:
    found, groups = effect_modifiers(effect, ["gender"]), effect.by("gender")
    assert found["reference"].value == pytest.approx(groups["gender=f"].value, abs=1e-12)
    assert found["reference"].standard_error == pytest.approx(
        groups["gender=f"].standard_error, rel=1e-9
    )
    gap = groups["gap in gender: f - m"]
    assert found["gender: m - f"].value == pytest.approx(-gap.value, abs=1e-12)
    assert found["gender: m - f"].standard_error == pytest.approx(gap.standard_error, rel=1e-9)


def test_a_regression_on_numbers_alone_has_the_effect_as_its_reference(
    effect: Any,
) -> None:
    found = effect_modifiers(effect, ["age", "quality"])
    assert found["reference"].value == pytest.approx(effect.value, abs=1e-12)
    assert found.kind == "heterogeneity"
    assert found["age (+1 sd)"].interval_method.startswith("simultaneous (sup-t)")
    wide = found["age (+1 sd)"]
    low, high = found.internal("estimate")["age (+1 sd)"].interval()[0]
    assert wide.lower < low < high < wide.upper


def test_the_reverse_contrast_changes_signs(world: Any, effect: Any) -> None:
    reverse = cr.estimate_effect(world.log, world.graph, n_repeats=1, contrast=(0, 1))
    there, back = effect_modifiers(effect, ["age"]), effect_modifiers(reverse, ["age"])
    for label in ("reference", "age (+1 sd)"):
        assert back[label].value == pytest.approx(-there[label].value, abs=1e-12)
        assert back[label].standard_error == pytest.approx(there[label].standard_error, rel=1e-9)


def test_over_these_very_rows_the_reference_has_the_error_of_the_effect(world: Any) -> None:
    these = cr.estimate_effect(world.log, world.graph, n_repeats=1, sampled=())
    reference = effect_modifiers(these, ["quality"])["reference"]
    assert reference.standard_error == pytest.approx(these.standard_error, rel=1e-9)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["exposed"], "is the exposure or the outcome itself"),
        (["gendr"], "gender"),
        (["user_id"], "names rather than describes"),
        (["age", "age"], "distinct column names"),
        ("age", "distinct column names"),
        ([], "distinct column names"),
    ],
)
def test_columns_that_cannot_be_modifiers_are_refused(
    effect: Any, columns: Any, message: str
) -> None:
    with pytest.raises((DataError, StudyError), match=message):
        effect_modifiers(effect, columns)


def test_repeated_and_constant_and_missing_columns_are_refused(world: Any) -> None:
    users = world.users.assign(
        twice=2 * world.users["age"] + 1, same=1.0, gappy=world.users["age"].where(lambda a: a > 0)
    )
    log = cr.InteractionLog(world.events, users=users, items=world.items, **world.log_columns)
    effect = cr.estimate_effect(log, world.graph, n_repeats=1)
    for columns, message in (
        (["age", "twice"], "a combination of those before it"),
        (["same"], "one value only"),
        (["gappy"], "is missing in"),
    ):
        with pytest.raises(DataError, match=message):
            effect_modifiers(effect, columns)


def test_what_exposure_changes_is_no_modifier(world: Any) -> None:
    events = world.events.assign(clicks=world.events["exposed"] + world.events["purchase"])
    log = cr.InteractionLog(events, users=world.users, items=world.items, **world.log_columns)
    text = world.graph.to_dot().rstrip().rstrip("}")
    graph = cr.CausalGraph.from_dot(
        text + f"clicks [entity=event]; {world.graph.exposure} -> clicks; }}"
    )
    effect = cr.estimate_effect(log, graph, n_repeats=1)
    with pytest.raises(DataError, match="comes after the exposure"):
        effect_modifiers(effect, ["clicks"])


def test_estimators_without_a_score_of_the_effect_are_refused(world: Any) -> None:
    effect = cr.estimate_effect(world.log, world.graph, n_repeats=1, estimand="att")
    with pytest.raises(StudyError, match="estimator='dr' and estimand='ate'"):
        effect_modifiers(effect, ["age"])


def test_a_reloaded_effect_says_that_it_cannot(effect: Any) -> None:
    with pytest.raises(ResultError):
        effect_modifiers(type(effect).from_json(effect.to_json()), ["age"])


def test_the_report_draws_it(effect: Any, tmp_path: Any) -> None:
    found = effect_modifiers(effect, ["age", "gender"])
    cr.write_report(found, tmp_path / "modifiers.html")
    assert "gender: m - f" in (tmp_path / "modifiers.html").read_text(encoding="utf-8")
    assert np.isfinite([row.value for row in found.rows]).all()
