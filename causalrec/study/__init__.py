"""A study: log, graph and questions in one TOML file, run as one chain and resumed."""

from causalrec.study._chain import Progress, report_paths, run_study
from causalrec.study._check import check_study
from causalrec.study._demo import run_demo
from causalrec.study._describe import describe_graph, describe_graphs, write_graph
from causalrec.study._file import StudyFile, read_study
from causalrec.study._starter import write_starter, write_world
from causalrec.study._thresholds import Threshold, breaches, read_thresholds

__all__ = [
    "Progress",
    "StudyFile",
    "Threshold",
    "breaches",
    "check_study",
    "describe_graph",
    "describe_graphs",
    "read_study",
    "read_thresholds",
    "report_paths",
    "run_demo",
    "run_study",
    "write_graph",
    "write_starter",
    "write_world",
]
