"""Identification with sixty confounders: ours by each strategy, and DoWhy's `identify_effect`.

    python benchmarks/identify.py [--confounders 60] [--cap 30]

CPU milliseconds of one call, imports before, the median of eleven. DoWhy searches for an adjustment
set of its own kind first whatever the graph, so each graph has two lines of it: its default search,
stopped after `cap` seconds (a process of its own), and its generalised adjustment criterion, which
is the one that ours asks. What each found is printed: a faster wrong answer is not faster.
"""

from __future__ import annotations

from _timing import check, cpu_seconds, say_versions  # before numpy

# isort: split

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable

from causalrec import CausalGraph
from causalrec.errors import IdentificationError

CALLS = 11
LIMIT = 50.0
"""Milliseconds that an analyst does not notice."""
ENDS = "E [exposure] Y [outcome]"
GRAPHS = {
    "back-door adjustment": "E -> Y {all} -> {{E Y}}",
    "instrument": "E -> Y E <-> Y Z -> E {all} -> {{E Y Z}}",
    "front-door": "E -> M -> Y E <-> Y {all} -> {{E Y M}}",
    "randomised": "E -> Y {all} -> Y",
    "refused": "E -> Y E <-> Y {all} -> {{E Y}}",
}


def graph_of(body: str, n: int) -> CausalGraph:
    """Return a graph with n measured confounders."""
    confounders = "{" + " ".join(f"c{i}" for i in range(n)) + "}"
    return CausalGraph.from_dot(f"dag {{ {ENDS} {body.format(all=confounders)} }}")


def ours(graph: CausalGraph) -> str:
    """Return the strategy that identifies the effect."""
    try:
        return graph.identify().strategy
    except IdentificationError:
        return "refused"


def dowhy(graph: CausalGraph, *, generalised: bool) -> str:
    """Return which of DoWhy's estimands are there."""
    from dowhy.causal_identifier import BackdoorAdjustment, EstimandType, identify_effect_auto
    from dowhy.causal_identifier.auto_identifier import identify_generalized_adjustment_set

    network = graph.network()
    if generalised:
        found = identify_generalized_adjustment_set(network, ["E"], ["Y"], list(graph.measured))
        return "adjustment" if found else "none"
    estimand = identify_effect_auto(
        network,
        ["E"],
        ["Y"],
        list(graph.measured),
        EstimandType.NONPARAMETRIC_ATE,
        backdoor_adjustment=BackdoorAdjustment.BACKDOOR_DEFAULT,
    )
    kinds = ("backdoor", "iv", "frontdoor")
    return ", ".join(kind for kind in kinds if estimand.estimands.get(kind)) or "none"


def milliseconds(run: Callable[[], object], calls: int = CALLS) -> float:
    """Return the median CPU of one call."""
    run()
    return 1000 * statistics.median(cpu_seconds(run) for _ in range(calls))


def capped(name: str, n: int, cap: float) -> str:
    """Run DoWhy's default search once in a process of its own, and stop it after the cap."""
    command = [sys.executable, __file__, "--confounders", str(n), "--default-search", name]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=cap)
    except subprocess.TimeoutExpired:
        return f"stopped after {cap:g} s"
    except subprocess.CalledProcessError as error:
        return f"fails: {error.stderr.strip().splitlines()[-1]}"
    return run.stdout.strip().splitlines()[-1]


def main() -> None:
    """Check, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--confounders", type=int, default=60)
    parser.add_argument("--cap", type=float, default=30.0)
    parser.add_argument("--default-search", choices=list(GRAPHS), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    n = asked.confounders
    if asked.default_search:
        graph = graph_of(GRAPHS[asked.default_search], n)
        found: list[str] = []
        seconds = cpu_seconds(lambda: found.append(dowhy(graph, generalised=False)))
        print(f"{found[0]} in {seconds:.3g} s")
        return
    say_versions("networkx", "dowhy")
    graphs = {name: graph_of(body, n) for name, body in GRAPHS.items()}
    for name, graph in graphs.items():
        check(f"ours finds what the graph of {name!r} holds", ours(graph) == name)
    print(f"\n| graph, {n} confounders | ours | DoWhy, generalised adjustment | what it finds"
          " | DoWhy, identify_effect by default |")  # fmt: skip
    print("|---|---|---|---|---|")
    slowest = 0.0
    for name, graph in graphs.items():
        mine = milliseconds(lambda graph=graph: ours(graph))
        theirs = milliseconds(lambda graph=graph: dowhy(graph, generalised=True))
        answer = dowhy(graph, generalised=True)
        slowest = max(slowest, mine)
        print(f"| {name} | {mine:.3g} ms | {theirs:.3g} ms | {answer}"
              f" | {capped(name, n, asked.cap)} |")  # fmt: skip
    print(f"\nThe slowest of ours takes {slowest:.3g} ms (asked: below {LIMIT:g}).")


if __name__ == "__main__":
    main()
