"""Both dialects are read alike, and what cannot be read is marked at its place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalrec.errors import GraphError
from causalrec.graph import CausalGraph, Node

# text -> (names, edges, roles that are not "covariate")
READ: dict[str, tuple[str, str, dict[str, str]]] = {
    "digraph { }": ("", "", {}),
    "digraph named { a }": ("a", "", {}),
    'strict digraph "a name" { a; b }': ("a b", "", {}),
    "DAG{a->b}": ("a b", "a>b", {}),
    "dag { a -> b -> c }": ("a b c", "a>b b>c", {}),
    "dag { a <- b <- c }": ("a b c", "b>a c>b", {}),
    "dag { a -> b <- c }": ("a b c", "a>b c>b", {}),
    "dag { a -> {b c} }": ("a b c", "a>b a>c", {}),
    "dag { {a b} -> {c; d} }": ("a b c d", "a>c a>d b>c b>d", {}),
    "dag { {a -> b} -> c }": ("a b c", "a>b a>c b>c", {}),
    "digraph { subgraph cluster_u { label=users; a b } -> c }": ("a b c", "a>c b>c", {}),
    "digraph { subgraph { a }; b }": ("a b", "", {}),
    "dag { a a -> b a -> b }": ("a b", "a>b", {}),
    "dag { E [exposure] Y [outcome] U [latent] E -> Y }": (
        "E U Y",
        "E>Y",
        {"E": "exposure", "Y": "outcome", "U": "latent"},
    ),
    'dag { bb="0,0,1,1" E [exposure,pos="0.1,0.2"] W [adjusted] W -> {E Y} }': (
        "E W Y",
        "W>E W>Y",
        {"E": "exposure"},
    ),
    "digraph { E [role=exposure, color=red]; S [selected] Z [role=instrument] }": (
        "E S Z",
        "",
        {"E": "exposure", "S": "selection", "Z": "instrument"},
    ),
    'digraph { U [observed="no"] V [observed=yes] }': ("U V", "", {"U": "latent"}),
    "digraph { U [latent=1] V [latent=no] W [unobserved] }": (
        "U V W",
        "",
        {"U": "latent", "W": "latent"},
    ),
    "digraph { a [role=exposure] [role=exposure] }": ("a", "", {"a": "exposure"}),
    "digraph { node [role=latent] U V }": ("U V", "", {"U": "latent", "V": "latent"}),
    "digraph { { node [role=latent] U } V }": ("U V", "", {"U": "latent"}),
    "digraph { graph [rankdir=LR] edge [color=red] rankdir=TB a -> b [color=blue] }": (
        "a b",
        "a>b",
        {},
    ),
    "// one\n# two\ndigraph { /* three\n# four */ a -> b\n  # five }\n}": ("a b", "a>b", {}),
    "\ufeffdigraph\r\n{\r\na -> b\r\n}\r\n": ("a b", "a>b", {}),
    'dag { "a b" -> "say \\"hi\\"" }': ('a b|say "hi"', 'a b>say "hi"', {}),
    "dag { größe -> 年齢 }": ("größe 年齢", "größe>年齢", {}),
    'dag { "node" -> x.1 }': ("node x.1", "node>x.1", {}),
    "dag { a <-> b }": ("a b latent_a_b", "latent_a_b>a latent_a_b>b", {"latent_a_b": "latent"}),
    "dag { b <-> a a <-> b }": (
        "a b latent_a_b",
        "latent_a_b>a latent_a_b>b",
        {"latent_a_b": "latent"},
    ),
    "dag { a <-> b latent_a_b }": (
        "a b latent_a_b latent_a_b_",
        "latent_a_b_>a latent_a_b_>b",
        {"latent_a_b_": "latent"},
    ),
}


def _split(text: str) -> list[str]:
    return text.split("|") if "|" in text else text.split()


@pytest.mark.parametrize("text", READ)
def test_the_text_is_read(text: str) -> None:
    names, edges, roles = READ[text]
    graph = CausalGraph.from_dot(text)
    assert list(graph.nodes) == _split(names)
    expected = [tuple(e.split(">")) for e in (edges.split() if '"' not in edges else [edges])]
    assert list(graph.edges) == expected
    assert {n.name: n.role for n in graph.node_table if n.role != "covariate"} == roles


# text -> (line, column, words of the message)
REFUSED: dict[str, tuple[int, int, str]] = {
    "": (1, 1, "The text is empty"),
    "  // nothing\n": (2, 1, "The text is empty"),
    "graph { a -- b }": (1, 1, "Write 'digraph'"),
    "mag { a -> b }": (1, 1, "leaves arrows undecided"),
    "pdag { a -> b }": (1, 1, "leaves arrows undecided"),
    "pag { a -> b }": (1, 1, "leaves arrows undecided"),
    "digrph { a }": (1, 1, "Did you mean 'digraph'?"),
    '"digraph" { a }': (1, 1, "begins with 'digraph' or 'dag'"),
    "digraph a b { }": (1, 11, "opens with '{'"),
    "digraph { a -> b": (1, 9, "never closed"),
    "digraph { a { b }": (1, 9, "never closed"),
    "digraph { a -> {b }": (1, 9, "never closed"),
    "digraph { a } b": (1, 15, "more text follows"),
    "digraph {\n  a -- b\n}": (2, 5, "Write '->' for a cause"),
    "dag { a @-> b }": (1, 9, "partly unknown"),
    "dag { a - > b }": (1, 9, "A lone '-' is no edge"),
    "dag { a > b }": (1, 9, "A lone '>' is no edge"),
    "dag { a # why\n }": (1, 9, "has a line of its own"),
    "dag { user-age }": (1, 11, "needs double quotes"),
    "dag { a -> }": (1, 12, "A node's name is expected here, not '}'"),
    "dag { -> b }": (1, 7, "A node's name is expected here, not '->'"),
    "dag { a -> -> b }": (1, 12, "A node's name is expected here"),
    'dag { "a -> b }': (1, 7, "never closed"),
    "dag { a /* b }": (1, 9, "never closed"),
    "dag { a [label=<b>] }": (1, 16, "HTML-like labels"),
    "dag { a? }": (1, 8, "The character '?' cannot stand here"),
    "dag { a:n -> b }": (1, 8, "Ports are not read"),
    'dag { "a" + "b" }': (1, 11, "Write 'a' as one string"),
    'dag { "" }': (1, 7, "A node's name is empty"),
    'dag { "a\\nb" }': (1, 7, "control character"),
    'dag { a [column=""] }': (1, 17, "A column's name is empty"),
    "dag { a [ }": (1, 11, "An attribute's name is expected here, not '}'"),
    "dag { a [role=exposure": (1, 9, "This '[' is never closed"),
    "dag { a [role=] }": (1, 15, "A value is expected after '='"),
    "dag { a [= b] }": (1, 10, "An attribute's name is expected"),
    "dag { a [role=expsure] }": (1, 15, "Did you mean 'exposure'?"),
    "dag { a [exposre] }": (1, 10, "Did you mean 'exposure'?"),
    "dag { a [entity=users] }": (1, 17, "Did you mean 'user'?"),
    "dag { a [rol=exposure] }": (1, 10, "Did you mean 'role'?"),
    "dag { a [colunm=x] }": (1, 10, "Did you mean 'column'?"),
    "dag { a [latent=maybe] }": (1, 17, "Yes or no is expected"),
    "dag { a [exposure, outcome] }": (1, 20, "already has the role 'exposure'"),
    "dag { a [column=x] a [column=y] }": (1, 30, "already has the column 'x'"),
    "dag { a [exposure]\n b [exposure] }": (
        2,
        5,
        "Two nodes have the role 'exposure': 'a' and 'b'",
    ),
    "dag { a [role=observed] b [role=observed] }": (1, 33, "Two nodes have the role 'observed'"),
    "dag { node [column=x] a }": (1, 13, "would give many nodes the same"),
    "dag { node a }": (1, 7, "is a keyword of DOT"),
    "dag { a -> node }": (1, 12, "as a node's name"),
    "dag { {a b} [exposure] }": (1, 7, "A group takes no attributes"),
    "dag { subgraph x y }": (1, 18, "A subgraph opens with '{'"),
    "digraph { a -> b [dir=back] }": (1, 19, "write the arrow"),
    "digraph { edge [dir=both] a -> b }": (1, 17, "write the arrow"),
    "digraph { a -> b [style=invis] }": (1, 19, "An invisible edge"),
    "dag { a -> a }": (1, 9, "cannot cause itself"),
    "dag { a <-> a }": (1, 9, "cannot cause itself"),
    "dag { a }}": (1, 10, "more text follows"),
    "dag " + "{" * 60: (1, 55, "nested more than 50 deep"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_the_place_is_marked(text: str) -> None:
    line, column, words = REFUSED[text]
    with pytest.raises(GraphError) as caught:
        CausalGraph.from_dot(text)
    message = str(caught.value)
    assert words in message
    assert message.startswith(f"Line {line}, column {column}: ")
    *_, shown, caret = message.split("\n")
    assert shown == text.split("\n")[line - 1]
    assert caret == " " * (column - 1) + "^"


def test_a_long_line_is_shown_around_the_place() -> None:
    text = "dag { " + " ".join(f"n{i}" for i in range(200)) + " ? " + "m " * 200 + "}"
    with pytest.raises(GraphError) as caught:
        CausalGraph.from_dot(text)
    *_, shown, caret = str(caught.value).split("\n")
    assert len(shown) <= 90
    assert shown[caret.index("^")] == "?"


# text -> words of a message that speaks of the whole graph
CONTRADICTIONS = {
    "dag { b -> c -> a -> b }": "The arrows run in a circle: a -> b -> c -> a.",
    "dag { x -> a -> b -> a }": "The arrows run in a circle: a -> b -> a.",
    "dag { a [column=x] b [column=x] }": "'a' and 'b' both name the column 'x'",
    "dag { a [column=b] b }": "'a' and 'b' both name the column 'b'",
    "dag { a [exposure, latent] }": "is the exposure and latent",
    "dag { a [latent, column=x] }": "is latent, yet names the column 'x'",
}


@pytest.mark.parametrize("text", CONTRADICTIONS)
def test_a_contradiction_is_named(text: str) -> None:
    with pytest.raises(GraphError) as caught:
        CausalGraph.from_dot(text)
    assert CONTRADICTIONS[text] in str(caught.value)


def test_a_hash_within_a_label_is_no_comment() -> None:
    graph = CausalGraph.from_dot('dag { a [label="rank\n#1"] label="in \\"all\\"\\nlines" }')
    assert (graph.nodes["a"].label, graph.label) == ("rank #1", 'in "all" lines')


def test_what_is_not_text_is_refused() -> None:
    with pytest.raises(GraphError, match="reads text, not int"):
        CausalGraph.from_dot(3)  # type: ignore[arg-type]


def test_building_by_hand_is_checked_like_text() -> None:
    def build(
        *nodes: Node, edges: tuple[tuple[str, str], ...] = (), name: str = "g"
    ) -> CausalGraph:
        return CausalGraph(name, "", nodes, edges)

    a, b = Node("a"), Node("b", role="exposure")
    assert build(b, a, edges=(("a", "b"), ("a", "b"))).edges == (("a", "b"),)
    for wrong, words in (
        (lambda: build(a, a), "Two nodes are called 'a'"),
        (lambda: build(a, edges=(("a", "bb"),)), "which is no node"),
        (lambda: build(b, Node("c", role="exposure")), "2 nodes have the role 'exposure'"),
        (lambda: build(a, name="x\n"), "The graph's name contains"),
        (lambda: Node(""), "A node's name is empty"),
        (lambda: Node("a", role="expose"), "Did you mean 'exposure'"),  # type: ignore[arg-type]
        (lambda: Node("a", entity="users"), "Did you mean 'user'"),  # type: ignore[arg-type]
        (lambda: Node("a", column=""), "The column of node 'a' is empty"),
        (lambda: Node("a", label="\x00"), "The label of node 'a' contains"),
    ):
        with pytest.raises(GraphError, match=words):
            wrong()


_PIECES = st.sampled_from(
    [
        *(
            "dag ",
            "digraph ",
            "strict ",
            "{",
            "}",
            "[",
            "]",
            "->",
            "<-",
            "<->",
            "--",
            ";",
            ",",
            "=",
        ),
        *(
            "a ",
            "b ",
            "c ",
            "role",
            "exposure ",
            "outcome ",
            "latent ",
            "column ",
            "entity ",
            "user ",
        ),
        *(
            "node ",
            "graph ",
            "subgraph ",
            '"',
            '"x y"',
            "\\",
            "\n",
            "# ",
            "// ",
            "/* ",
            "*/",
            ":",
            "+",
        ),
        *("-1.5 ", "label", "dir=back", "observed ", "\x00", "\ud800", "é", "<", "@->"),
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(_PIECES, max_size=30).map("".join) | st.text(max_size=60))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    for candidate in (text, f"dag {{ {text} }}"):
        try:
            graph = CausalGraph.from_dot(candidate)
        except GraphError:
            continue
        assert CausalGraph.from_dot(graph.to_dot()) == graph
        assert CausalGraph.from_dot(graph.to_dagitty()) == graph


_NAMES = st.text(
    st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=8
) | st.sampled_from(["node", "dag", "a", 'q"', "back\\", "\\n", "a-b", "//"])


@st.composite
def _graphs(draw: st.DrawFn) -> CausalGraph:
    names = draw(st.lists(_NAMES, unique=True, max_size=6))
    singles = ["exposure", "outcome", "observed"]
    nodes = []
    others = ["covariate", "latent", "instrument", "mediator", "selection", "shadow"]
    others += ["negative_control_outcome", "negative_control_exposure"]
    for number, name in enumerate(names):
        role = draw(st.sampled_from([*singles, *others]))
        if role in singles:
            singles.remove(role)
        latent = role == "latent" or (role in ("instrument", "mediator") and draw(st.booleans()))
        column = None if latent or draw(st.booleans()) else f"column of {name}"
        entity = draw(st.sampled_from([None, "user", "item", "event"]))
        label = draw(_NAMES | st.just(""))
        time = draw(st.sampled_from([None, number - 2]))  # arrows run from earlier names to later
        nodes.append(Node(name, role, column, entity, label, latent, time))
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    name = draw(_NAMES | st.just(""))
    return CausalGraph(name, draw(_NAMES | st.just("")), tuple(nodes), tuple(edges))


@settings(max_examples=200, deadline=None)
@given(_graphs())
def test_a_written_graph_is_read_back_equal(graph: CausalGraph) -> None:
    for text in (graph.to_dot(), graph.to_dagitty()):
        again = CausalGraph.from_dot(text)
        assert again == graph
        assert hash(again) == hash(graph)
        assert (again.to_dot(), again.to_dagitty()) == (graph.to_dot(), graph.to_dagitty())
