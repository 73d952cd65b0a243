"""`check_graph`: right graphs pass at their nominal rate, a missing arrow is found and named."""

from __future__ import annotations

from itertools import combinations

import networkx as nx
import numpy as np
import pytest

import causalrec as cr
from causalrec.errors import DataError, GraphError, StudyError
from causalrec.graph import CausalGraph
from causalrec.nuisances._graph_check_dowhy import unrelated_rows
from causalrec.nuisances._graph_implications import implications
from causalrec.results import Result
from causalrec.simulation import World


def without(graph: CausalGraph, *edges: tuple[str, str]) -> CausalGraph:
    kept = tuple(edge for edge in graph.edges if edge not in edges)
    return CausalGraph(graph.name, graph.label, graph.node_table, kept)


@pytest.fixture(scope="module")
def shop() -> World:
    return cr.simulate("shop", n_users=400, n_items=120, random_state=2)


@pytest.mark.parametrize("world", ["shop", "music", "social", "video"])
def test_the_right_graph_is_kept(world: str) -> None:
    drawn = cr.simulate(world, n_users=300, n_items=100, random_state=3)
    found = cr.check_graph(drawn.graph, drawn.log)
    assert found.kind == "graph_check"
    assert found.assumptions[0].status == "tested"
    assert "does not contradict" in found.answer
    assert all(row.p_adjusted is None or row.p_adjusted > 0.05 for row in found.rows)
    assert Result.from_json(found.to_json()).rows == found.rows


@pytest.mark.parametrize(
    "edge",
    [
        ("activity", "exposure"),
        ("age", "purchase"),
        ("exposure", "purchase"),
        ("gender", "activity"),
        ("price", "exposure"),
        ("quality", "exposure"),
    ],
)
def test_a_missing_arrow_is_named(shop: World, edge: tuple[str, str]) -> None:
    found = cr.check_graph(without(shop.graph, edge), shop.log)
    assert found.assumptions[0].status == "violated"
    first, second = sorted(edge)
    assert f"{first} and {second} go together" in found.answer
    assert found.rows[0].label.startswith(f"{first} and {second}")
    assert found.rows[0].p_adjusted is not None
    assert found.rows[0].p_adjusted <= 0.05


def test_every_pair_without_an_arrow_is_accounted_for(shop: World) -> None:
    graph = without(shop.graph, ("gender", "activity"))
    entities = {name: graph.nodes[name].entity or "event" for name in graph.measured}
    found, silent = implications(graph, entities, shop.log)
    pairs = {(one.first, one.second) for one in found} | set(silent)
    network = graph.network().to_undirected()
    assert pairs == {
        pair for pair in combinations(sorted(graph.measured), 2) if not network.has_edge(*pair)
    }
    for one in found:
        assert nx.is_d_separator(graph.network(), {one.first}, {one.second}, set(one.given))
    units = {(one.first, one.second): one.unit for one in found}
    assert units["age", "gender"] == "users"
    assert units["category", "price"] == "items"
    assert units["exposure", "gender"] == "rows"


def test_pairs_that_the_log_cannot_show_are_counted() -> None:
    world = cr.simulate("music", n_users=100, n_items=60, random_state=1)
    found = cr.check_graph(world.graph, world.log)
    assert "implies nothing that the log can show" in found.notes[0]
    assert not any("genre" in row.label and "country" in row.label for row in found.rows)


def test_a_curved_dependence_is_adjusted_for() -> None:
    import pandas as pd

    rng = np.random.default_rng(4)
    a = rng.normal(size=2000)
    users = pd.DataFrame({"user_id": np.arange(2000), "a": a, "b": a**2, "c": np.abs(a)})
    users[["b", "c"]] += rng.normal(size=(2000, 2))
    events = pd.DataFrame(
        {"user_id": np.arange(2000), "item_id": 0, "rating": rng.normal(size=2000)}
    )
    log = cr.InteractionLog(events, users=users)
    entity = "a [entity=user] b [entity=user] c [entity=user]"
    right = CausalGraph.from_dot(f"dag {{ {entity} a -> {{b c}} }}")
    assert cr.check_graph(right, log).assumptions[0].status == "tested"
    wrong = CausalGraph.from_dot(f"dag {{ {entity} a -> b c }}")
    assert cr.check_graph(wrong, log).rows[0].label == "b and c"


def test_a_few_subjects_are_not_tested(shop: World) -> None:
    import pandas as pd

    users = pd.DataFrame({"user_id": range(9), "a": range(9), "b": np.arange(9) % 4})
    events = pd.DataFrame({"user_id": range(9), "item_id": 1, "rating": 1.0 + np.arange(9) % 2})
    graph = CausalGraph.from_dot("dag { a [entity=user] b [entity=user] }")
    found = cr.check_graph(graph, cr.InteractionLog(events, users=users))
    assert [row.status for row in found.rows] == ["not_estimable"]
    assert "too few subjects" in found.answer
    assert found.assumptions[0].status == "untestable"


def test_dowhys_second_opinion_is_a_labelled_table(shop: World) -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    found = cr.check_graph(shop.graph, shop.log, second_opinion=True)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    alone = cr.check_graph(shop.graph, shop.log)
    assert (found.rows, found.answer) == (alone.rows, alone.answer)
    assert found.notes[:-1] == alone.notes
    table = found.tables[1]
    assert table.name == "second opinion"
    assert "DoWhy" in table.title
    assert "does not reject the graph" in found.notes[-1]
    # Every local Markov condition of the graph: a node and what it does not cause, given parents.
    network = shop.graph.network()
    pairs = {
        (node, other)
        for node in network
        for other in set(network) - nx.descendants(network, node) - {node}
        if other not in network.predecessors(node)
    }
    assert {(row[0], row[1]) for row in table.rows} == pairs
    assert Result.from_json(found.to_json()) == found


def test_dowhys_second_opinion_sees_missing_arrows(shop: World) -> None:
    fewer = without(shop.graph, ("activity", "exposure"), ("quality", "exposure"))
    table = cr.check_graph(fewer, shop.log, second_opinion=True, random_state=3).tables[1]
    violated = {(row[0], row[1]) for row in table.rows if row[4]}
    assert ("exposure", "activity") in violated
    small = cr.check_graph(fewer, shop.log, second_opinion=True, sample=60).tables[1]
    assert "on 60 rows of which no two share a user or an item" in small.caption


def test_rows_of_the_second_opinion_share_neither_user_nor_item(shop: World) -> None:
    rows = unrelated_rows(shop.log, 90, 0)
    assert len(rows) == 90
    for codes in (shop.log.user_codes, shop.log.item_codes):
        assert len(np.unique(np.asarray(codes)[rows])) == 90
    assert (rows == unrelated_rows(shop.log, 90, 0)).all()
    assert len(unrelated_rows(shop.log, 10**6, 0)) > 0.9 * shop.log.n_items


def test_a_second_opinion_is_refused_where_dowhy_has_none(shop: World) -> None:
    body = "dag { exposure [exposure] purchase [outcome] age gender U [latent] "
    for more, words in (
        ("U -> {exposure purchase} age -> purchase }", "U, which causes exposure and purchase"),
        ("U -> age S [selected] gender -> {S purchase} }", "knows nothing of selected rows"),
    ):
        with pytest.raises(GraphError, match=words):
            cr.check_graph(CausalGraph.from_dot(body + more), shop.log, second_opinion=True)
    # A latent with one effect hides nothing.
    fine = CausalGraph.from_dot(body + "exposure -> U -> purchase gender -> purchase }")
    table = cr.check_graph(fine, shop.log, second_opinion=True).tables[1]
    assert ("purchase", "age", "exposure, gender") in {row[:3] for row in table.rows}
    with pytest.raises(StudyError, match="50 rows or more"):
        cr.check_graph(shop.graph, shop.log, second_opinion=True, sample=20)
    few = cr.simulate("shop", n_users=60, n_items=30, random_state=2)
    with pytest.raises(DataError, match="share neither user nor item"):
        cr.check_graph(few.graph, few.log, second_opinion=True)


def test_refusals(shop: World) -> None:
    with pytest.raises(GraphError, match="implies no independence"):
        cr.check_graph(CausalGraph.from_dot("dag { age -> gender }"), shop.log)
    with pytest.raises(DataError, match="ages"):
        cr.check_graph(CausalGraph.from_dot("dag { ages gender }"), shop.log)
    with pytest.raises(DataError, match="clustered by 'user', 'item' or both"):
        cr.check_graph(shop.graph, shop.log, sampled=("brand",))
    with pytest.raises(StudyError, match="no chance of error"):
        cr.check_graph(shop.graph, shop.log, level=5)
    with pytest.raises(StudyError, match="two folds at least"):
        cr.check_graph(shop.graph, shop.log, n_folds=1)


def test_the_same_seed_gives_the_same_bytes(shop: World) -> None:
    first = cr.check_graph(shop.graph, shop.log, random_state=5)
    assert first.to_json() == cr.check_graph(shop.graph, shop.log, random_state=5).to_json()


@pytest.mark.slow
def test_the_right_graph_is_rejected_at_its_nominal_rate_under_clustering() -> None:
    n_replicates, rejected, small = 400, 0, []
    for seed in range(n_replicates):
        world = cr.simulate("shop", n_users=300, n_items=100, random_state=1000 + seed)
        found = cr.check_graph(world.graph, world.log)
        rejected += found.assumptions[0].status == "violated"
        small.append(np.mean([row.p_value < 0.05 for row in found.rows if row.p_value is not None]))
    # Holm holds the rate at 5 % or below; three standard errors of 400 draws are 3.3 points.
    assert rejected / n_replicates <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / n_replicates)
    # And the single tests neither sleep nor shout: the Monte Carlo error is that of the replicates.
    error = 3 * np.std(small) / np.sqrt(n_replicates)
    assert 0.03 - error < np.mean(small) < 0.05 + error
