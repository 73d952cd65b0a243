"""What every benchmark shares: one thread, interleaved runs, medians of ratios.

Import this module before numpy: it holds the numeric libraries to one thread each, which they
read when they are loaded.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

for _name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "BLIS", "VECLIB_MAXIMUM"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"

Run = Callable[[], object]
REPEATS = 7


@dataclass(frozen=True)
class Comparison:
    """One line of a benchmark.

    Attributes
    ----------
    name, peer : str
        What was timed, and against what.
    seconds, peer_seconds : float
        Median process CPU of each. They depend on the machine and on its load: compare ratios.
    ratios : tuple of float
        Peer over ours, one for each interleaved pair.
    """

    name: str
    peer: str
    seconds: float
    peer_seconds: float
    ratios: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Median ratio: how many times as long the peer takes."""
        return statistics.median(self.ratios)


@dataclass(frozen=True)
class Extrapolated:
    """A peer's job that is too long to run: a part of it is run, and the rest is reckoned.

    Attributes
    ----------
    fixed : callable
        The job without its replicates.
    part : callable
        The job with the first `replicates`.
    replicates, whole : int
        The job takes fixed + (part - fixed) / replicates * whole.
    """

    fixed: Run
    part: Run
    replicates: int
    whole: int

    def seconds(self) -> float:
        """Return the CPU of the whole job."""
        fixed = cpu_seconds(self.fixed)
        return fixed + (cpu_seconds(self.part) - fixed) / self.replicates * self.whole


@dataclass(frozen=True)
class PerSweep:
    """One sweep of a fit, without what a fit prepares before the first one.

    Attributes
    ----------
    fit : callable
        Fits with a number of sweeps.
    few, many : int
        A sweep takes (fit(many) - fit(few)) / (many - few).
    """

    fit: Callable[[int], object]
    few: int = 1
    many: int = 5

    def seconds(self) -> float:
        """Return the CPU of one sweep."""
        few, many = (cpu_seconds(lambda n=n: self.fit(n)) for n in (self.few, self.many))
        return (many - few) / (self.many - self.few)


def cpu_seconds(run: Run | Extrapolated | PerSweep) -> float:
    """Return the process CPU that one call takes."""
    if isinstance(run, Extrapolated | PerSweep):
        return run.seconds()
    start = time.process_time()
    run()
    return time.process_time() - start


def per_call(run: Run, calls: int) -> Run:
    """Return a run of several calls, for what is too short for the clock."""

    def several() -> None:
        for _ in range(calls):
            run()

    return several


def compare(
    name: str,
    ours: Run | PerSweep,
    peers: Mapping[str, Run | Extrapolated | PerSweep],
    *,
    repeats: int = REPEATS,
    calls: int = 1,
) -> list[Comparison]:
    """Time ours and every peer in turn, A B A B, and return the ratios of neighbours.

    Parameters
    ----------
    name : str
    ours : callable
        Called `calls` times in a row, of which the mean counts.
    peers : mapping of name to callable, Extrapolated or PerSweep
    repeats : int
        Pairs that are measured, after one warm run of each.
    calls : int
    """
    cpu_seconds(ours)
    repeated = ours if isinstance(ours, PerSweep) else per_call(ours, calls)
    calls = 1 if isinstance(ours, PerSweep) else calls
    for run in peers.values():
        cpu_seconds(run)
    mine: dict[str, list[float]] = {peer: [] for peer in peers}
    theirs: dict[str, list[float]] = {peer: [] for peer in peers}
    for _ in range(repeats):
        for peer, run in peers.items():
            mine[peer].append(cpu_seconds(repeated) / calls)
            theirs[peer].append(cpu_seconds(run))
    return [
        Comparison(
            name,
            peer,
            statistics.median(mine[peer]),
            statistics.median(theirs[peer]),
            tuple(b / a for a, b in zip(mine[peer], theirs[peer], strict=True)),
        )
        for peer in peers
    ]


def show(lines: list[Comparison]) -> None:
    """Print comparisons as a Markdown table."""
    print("\n| ours | peer | median of ratios | smallest to largest | ours, CPU | peer, CPU |")
    print("|---|---|---|---|---|---|")
    for line in lines:
        low, high = min(line.ratios), max(line.ratios)
        print(
            f"| {line.name} | {line.peer} | {line.ratio:.3g} | {low:.3g} to {high:.3g}"
            f" | {_duration(line.seconds)} | {_duration(line.peer_seconds)} |"
        )


def _duration(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def has(package: str) -> bool:
    """Return whether a peer is installed; say so where it is not."""
    found = importlib.util.find_spec(package) is not None
    if not found:
        print(f"  skipped: {package} is not installed (pip install {package})")
    return found


def say_versions(*packages: str) -> None:
    """Print what was measured: Python, machine, versions."""
    named = []
    for package in ("numpy", "scipy", "numba", *packages):
        try:
            named.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    print(f"Python {platform.python_version()}, {platform.machine()}; {', '.join(named)}")


def check(claim: str, holds: bool) -> None:
    """Print a check of quality, and stop where it fails: a faster wrong answer is not faster."""
    print(f"  {'holds' if holds else 'FAILS'}: {claim}")
    if not holds:
        sys.exit(1)
