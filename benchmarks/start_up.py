"""What a user waits for before anything happens: CPU seconds of fresh processes.

    python benchmarks/start_up.py [PATH/TO/coat]

The median of five runs each, bytecode cached. The fit needs the Coat data (CAUSALREC_DATA, or the
folder as an argument) and is left out without them.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
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


def cpu_seconds(code: str) -> float:
    """Return user and system seconds of a fresh Python that runs the code."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def coat_folder() -> Path | None:
    """Return the folder of the Coat data, or None."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else data_folder("coat")
    return folder if folder.is_dir() else None


def main() -> None:
    """Print the medians."""
    tasks = dict(TASKS)
    folder = coat_folder()
    if folder is None:
        print("The Coat data are not there: the first fit is left out.")
    else:
        tasks["first fit on Coat, reading included"] = FIT.format(path=str(folder))
    for name, code in tasks.items():
        cpu_seconds(code)
        seconds = statistics.median(cpu_seconds(code) for _ in range(RUNS))
        print(f"{name:50} {seconds:6.2f} s")


if __name__ == "__main__":
    main()
