"""What a user waits for before anything happens: CPU seconds of fresh processes.

    python benchmarks/start_up.py [PATH/TO/coat]

The median of five runs each. Python's own bytecode is cached, as pip leaves it (one run before
writes it, whatever PYTHONDONTWRITEBYTECODE says); no machine code is: the first fit is the strict
one, a whole process with its interpreter, imports, reading and fit, and nothing compiled before.
Its parts are printed below it. The fit needs the Coat data (CAUSALREC_DATA, or the folder as an
argument) and is left out without them.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from _data import data_folder

RUNS = 5
SIXTY = " ".join(f"c{i}" for i in range(60))
TASKS = {
    "import numpy": "import numpy",
    "import causalrec": "import causalrec",
    "causalrec --help": (
        "import sys; from causalrec.cli import main; sys.argv = ['causalrec', '--help']; main()"
    ),
    "load and show a graph": "import causalrec as cr; print(cr.load_graph('exposure_click'))",
    "identify, 60 confounders, DoWhy's import included": (
        "import causalrec as cr; print(cr.CausalGraph.from_dot("
        f"'dag {{ E [exposure] Y [outcome] E -> Y {{{SIXTY}}} -> {{E Y}} }}').identify().strategy)"
    ),
    "simulate('shop', 60, 40)": "import causalrec as cr; cr.simulate('shop', 60, 40).log",
    "simulate('music')": "import causalrec as cr; cr.simulate('music').log",
}
FIT = """
import causalrec as cr
coat = cr.datasets.coat({path!r})
cr.DebiasedMF().fit(coat.train, cr.KnownPropensity(coat.propensities))
"""
PARTS = """
from time import process_time as now
at = [now()]
import pandas
at.append(now())
import causalrec as cr
cr.datasets, cr.DebiasedMF, cr.KnownPropensity
at.append(now())
coat = cr.datasets.coat({path!r})
at.append(now())
model = cr.DebiasedMF().fit(coat.train, cr.KnownPropensity(coat.propensities))
at.append(now())
again = cr.DebiasedMF().fit(coat.train, cr.KnownPropensity(coat.propensities))
at.append(now())
assert model.solver_path_ == "scipy"  # nothing is compiled, so no cache is warm
print(*(after - before for before, after in zip(at, at[1:])))
"""
NAMES = "import pandas", "our modules, pydantic", "reading, three logs", "fit", "the same fit again"


def environment(folder: str) -> dict[str, str]:
    """Return the environment of a child: bytecode may be written, compiled kernels are not there.

    Parameters
    ----------
    folder : str
        An empty folder for numba's cache.
    """
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"NUMBA_CACHE_DIR": folder}


def cpu_seconds(code: str) -> float:
    """Return user and system seconds of a fresh Python that runs the code."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            stdout=subprocess.DEVNULL,
            env=environment(folder),
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def coat_folder() -> Path | None:
    """Return the folder of the Coat data, or None."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else data_folder("coat")
    return folder if folder.is_dir() else None


def print_parts(folder: Path) -> None:
    """Print the medians of the parts of the first fit, each in its fresh process."""
    command = [sys.executable, "-c", PARTS.format(path=str(folder))]
    runs = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as cache:
            run = subprocess.run(
                command, check=True, capture_output=True, text=True, env=environment(cache)
            )
        runs.append([float(part) for part in run.stdout.split()])
    medians = [statistics.median(part) for part in zip(*runs, strict=True)]
    for name, seconds in zip(NAMES, medians, strict=True):
        print(f"    {name:46} {seconds:6.2f} s")


def main() -> None:
    """Print the medians."""
    tasks = dict(TASKS)
    folder = coat_folder()
    if folder is None:
        print("The Coat data are not there: the first fit is left out.")
    else:
        tasks["first fit on Coat, whole process"] = FIT.format(path=str(folder))
    for name, code in tasks.items():
        cpu_seconds(code)
        seconds = statistics.median(cpu_seconds(code) for _ in range(RUNS))
        print(f"{name:50} {seconds:6.2f} s")
    if folder is not None:
        print_parts(folder)


if __name__ == "__main__":
    main()
