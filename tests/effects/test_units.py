"""Effects on the total of a slate or a user: what is asked, what it is, and when it is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import causalrec as cr
from causalrec.effects._question import Question
from causalrec.effects._units import WHOLE_ITEM, as_units, decided_as_a_whole
from causalrec.errors import DataError, OverlapError, StudyError


def shop(exposure_by: str = "item", *, seed: int = 1, n_users: int = 600, **switches: Any) -> Any:
    settings: Any = {"n_items": 60, "n_candidates": 10, "interference": 1.0} | switches
    return cr.simulate("shop", n_users=n_users, random_state=seed, exposure_by=exposure_by,
                       **settings)  # fmt: skip


def with_slates(world: Any, per_user: int = 2, **roles: Any) -> cr.InteractionLog:
    """Return the log of a world with each user's candidates dealt to slates."""
    events = world.events
    place = events.groupby("user_id").cumcount() % per_user
    return cr.InteractionLog(
        events.assign(slate=events["user_id"] * per_user + place),
        users=world.users,
        items=world.items,
        slate="slate",
        **world.log_columns,
        **roles,
    )


GRAPH = cr.load_graph("exposure_click")
QUESTION = Question.of(
    contrast=(1, 0), unit="item", sampled=("user", "item"), estimator="dr", estimand="ate",
    clip=None, floor=1e-3, n_folds=2, n_repeats=1, level=0.95, random_state=0,
)  # fmt: skip


def test_one_exposure_does_less_to_the_total_than_to_its_item() -> None:
    world = shop(n_users=3000)
    item = cr.estimate_effect(world.log, GRAPH, n_repeats=1)
    total = cr.estimate_effect(world.log, GRAPH, unit="user", n_repeats=1)
    truth = world.catalogue_truth
    assert abs(total.value - truth["ate:slate"]) < 4 * total.standard_error
    assert abs(item.value - truth["ate"]) < 4 * item.standard_error
    # Held to be the effect on the total, the item's own is refuted by the interval of the total.
    assert total.interval(0.999)[1] < truth["ate"]
    assert total.naive > total.value + 3 * total.standard_error
    assert total.rows[0].clusters == {"user": 3000}
    assert "one more item" in total.answer
    assert "it is not the item's own effect" in total.answer
    assert total.provenance.config["unit"] == "user"


def test_all_exposures_together_are_one_decision_on_the_total() -> None:
    world = shop("user", n_users=3000)
    whole = cr.estimate_effect(world.log, GRAPH, unit="user", n_repeats=1)
    truth = world.catalogue_truth
    assert abs(whole.value - truth["policy:slate"]) < 4 * whole.standard_error
    assert whole.interval(0.999)[1] < 10 * truth["ate"]  # the item effect, multiplied up
    assert (whole.rows[0].n, whole.rows[0].unit) == (3000, "users")
    assert whole.rows[0].population == "supported users"
    assert whole.answer.startswith("Exposing all rows of a user rather than none")
    reverse = cr.estimate_effect(world.log, GRAPH, unit="user", contrast=(0, 1), n_repeats=1)
    assert reverse.value == pytest.approx(-whole.value)
    assert "the other way round" in reverse.answer


@pytest.mark.parametrize("exposure_by", ["item", "user"])
def test_the_ledger_says_which_interference_is_left_and_in_what_sense_it_is_a_policy(
    exposure_by: str,
) -> None:
    world = shop(exposure_by)
    log = with_slates(world)
    found = cr.estimate_effect(log, GRAPH, unit="slate", n_repeats=1)
    named = {one.name: one for one in found.assumptions}
    assert "no interference between items of a slate" not in named
    assert named["no interference between slates"].status == "untestable"
    assert "600 users have more than one slate" in named["no interference between slates"].evidence
    if exposure_by == "user":
        assert "two policies" in named["a policy effect in one sense"].statement
        assert "not a policy effect" not in named
    else:
        assert "do not multiply it up" in named["not a policy effect"].statement
        assert "a policy effect in one sense" not in named
        item = {one.name for one in cr.estimate_effect(log, GRAPH, n_repeats=1).assumptions}
        assert {"not a policy effect", "no interference between items of a slate"} <= item


def test_rows_of_a_unit_become_one_by_sums_and_averages() -> None:
    world = shop("user", n_users=40)
    log = with_slates(world)
    identified = GRAPH.identify(query="effect")
    units = as_units(log, GRAPH, identified, QUESTION, None, "slate")
    made, events = units.log, log.events
    assert units.whole
    assert (made.n_rows, made.n_items, made.item_ids[0]) == (80, 1, WHOLE_ITEM)
    assert "price" in units.averaged
    frame = world.events.assign(
        slate=events.index.map(lambda row: log.slate_ids[log.slate[row]]),
        price=world.items.set_index("item_id").loc[world.events["item_id"], "price"].to_numpy(),
    )
    by_slate = frame.groupby("slate")
    at = np.asarray(made.slate_ids)[made.slate]
    np.testing.assert_allclose(made.outcome, by_slate["purchase"].sum().loc[at])
    np.testing.assert_allclose(made.column("price"), by_slate["price"].mean().loc[at])
    np.testing.assert_array_equal(made.exposure, by_slate["exposed"].first().loc[at])
    assert made.outcome_range == (0.0, 5.0)


def test_options_work_on_totals() -> None:
    world = shop()
    for options in ({"estimand": "att"}, {"estimator": "ips"}, {"estimator": "regression"}):
        found = cr.estimate_effect(world.log, GRAPH, unit="user", n_repeats=1, **options)
        assert np.isfinite(found.value)
    found = cr.estimate_effect(world.log, GRAPH, unit="user", n_repeats=1, sampled=())
    assert "these very rows" in found.notes[-1]
    assert next(row.label for row in found.by("category").rows) == "category=books"
    assert found.sensitivity()["robustness value"].value > 0
    assert type(found).from_json(found.to_json()).value == found.value


def test_given_propensities_are_those_of_the_decision() -> None:
    world = shop("user")
    p = world.potential.row_propensity
    known = cr.estimate_effect(world.log, GRAPH, unit="user", propensity=p, n_repeats=1)
    of_users = world.potential.propensity[:, 0]
    computation = known.internal("computation")
    np.testing.assert_allclose(computation.nuisances.propensity, of_users)
    wrong = np.where(np.arange(len(p)) % 10 == 0, p / 2, p)
    with pytest.raises(DataError, match="differ within 600 of 600 users"):
        cr.estimate_effect(world.log, GRAPH, unit="user", propensity=wrong, n_repeats=1)
    items = shop()
    given = items.potential.row_propensity
    found = cr.estimate_effect(items.log, GRAPH, unit="user", propensity=given, n_repeats=1)
    assert abs(found.value - items.truth["ate:slate"]) < 4 * found.standard_error


def test_refuters_find_nothing_in_a_placebo_and_take_the_log_of_rows() -> None:
    for exposure_by in ("item", "user"):
        world = shop(exposure_by)
        found = cr.estimate_effect(world.log, GRAPH, unit="user", n_repeats=1)
        refuted = found.refute(world.log, n_draws=30)
        placebo = refuted["placebo exposure"]
        # The mean of 30 draws; their spread is about the error of the effect.
        assert abs(placebo.value) < 4 * found.standard_error / np.sqrt(30)
        assert refuted["quick estimate"].value == pytest.approx(
            found.value, abs=found.standard_error
        )
        with pytest.raises(StudyError, match="on a total"):
            found.interference(world.log)


def test_what_a_log_cannot_tell_is_refused_in_words() -> None:
    world = shop()
    with pytest.raises(DataError, match=r"which rows stood\s+together.*slate=\.\.\."):
        cr.estimate_effect(world.log, GRAPH, unit="slate")
    with pytest.raises(StudyError, match="no unit 'page'"):
        cr.estimate_effect(world.log, GRAPH, unit="page")
    with pytest.raises(StudyError, match="answers for single rows"):
        cr.estimate_effect(world.log, GRAPH, unit="user", estimator="iv")
    with pytest.raises(StudyError, match="new users of this catalogue"):
        cr.estimate_effect(world.log, GRAPH, unit="user", sampled=("item",))
    ones = np.ones(world.log.n_rows)
    with pytest.raises(StudyError, match="adds rows up"):
        cr.estimate_effect(world.log, GRAPH, unit="user", weights=ones)
    rng = np.random.default_rng(0)
    events = world.events
    order = rng.random(len(events))
    rank = events.assign(order=order).groupby("user_id")["order"].rank()
    fixed = cr.InteractionLog(
        events.assign(exposed=(rank <= 3).astype(int)), users=world.users, items=world.items,
        **world.log_columns,
    )  # fmt: skip
    with pytest.raises(OverlapError, match=r"e\.g\. 3 of 10.*leaving another\s+out"):
        cr.estimate_effect(fixed, GRAPH, unit="user")
    nearly = shop("user")
    exposed = nearly.events["exposed"].to_numpy().copy()
    exposed[0] = 1 - exposed[0]
    mixed = cr.InteractionLog(
        nearly.events.assign(exposed=exposed), users=nearly.users, items=nearly.items,
        **nearly.log_columns,
    )  # fmt: skip
    with pytest.raises(DataError, match="neither for whole users nor"):
        cr.estimate_effect(mixed, GRAPH, unit="user")


def test_slates_of_one_row_are_their_items() -> None:
    assert decided_as_a_whole(np.array([0.0, 1.0]), np.array([0, 1]), "slate")
    world = shop(interference=0.0)
    log = with_slates(world, per_user=10)
    item = cr.estimate_effect(log, GRAPH, n_repeats=1, sampled=("user",))
    slate = cr.estimate_effect(log, GRAPH, unit="slate", n_repeats=1)
    assert slate.value == pytest.approx(item.value, abs=0.1 * item.standard_error)
