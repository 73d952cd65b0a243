"""A gap speaks of cells that all of its groups support: else it is one of catalogues."""

import numpy as np
import pytest

import causalrec as cr


@pytest.fixture(scope="module")
def world():
    """A world whose country B never sees the least mainstream, least liked, songs."""
    return cr.simulate(
        "music", n_users=400, n_items=100, density=0.2, unsupported=0.3, random_state=3
    )


def gap_of(mean):
    return next(row for row in mean.rows if row.metric == "gap")


@pytest.mark.parametrize("estimator", ["snips", "dr"])
def test_a_gap_does_not_mix_groups_with_catalogues(world, estimator):
    potential = world.potential
    mean = cr.estimate_mean(
        world.log, potential.propensity, by="country", estimator=estimator, population="all"
    )
    shared = potential.supported.all(axis=0)
    in_a = (world.users["country"] == "A").to_numpy()
    rating = potential.expected_rating[:, shared]
    truth = rating[in_a].mean() - rating[~in_a].mean()
    own = potential.expected_rating
    false = own[in_a].mean() - own[~in_a][:, shared].mean()
    assert truth > 0.1
    assert false < -0.3
    gap = gap_of(mean)
    assert gap.lower < truth < gap.upper
    assert f"({int((~shared).sum())} items left out)" in gap.population
    assert set(gap.derived_from) <= {row.label for row in mean.rows}


def test_the_gap_of_every_attribute_is_in_one_family(world):
    mean = cr.estimate_mean(
        world.log, world.potential.propensity, by=["country", "label_group"], estimator="snips"
    )
    gaps = [row for row in mean.rows if row.metric == "gap"]
    assert len(gaps) == 2
    raw = sorted(row.p_value for row in gaps)
    adjusted = sorted(row.p_adjusted for row in gaps)
    assert adjusted[0] == pytest.approx(min(1.0, 2 * raw[0]))


def test_groups_that_share_nothing_have_no_gap(world):
    in_a = (world.users["country"] == "A").to_numpy()
    half = np.arange(world.log.n_items) < world.log.n_items // 2
    allowed = np.where(in_a[:, None], half, ~half)
    cells = world.log.observed_cells()
    log = world.log.select(allowed[world.log.user_codes, world.log.item_codes])
    assert len(log.observed_cells()) < len(cells)
    p = np.where(allowed, np.maximum(world.potential.propensity, 0.01), 0.0)
    gap = gap_of(cr.estimate_mean(log, p, by="country", estimator="snips"))
    assert gap.value is None
    assert gap.status == "not_estimable"
    assert "share no supported cells" in gap.note
