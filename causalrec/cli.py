"""The command line: parses, calls the library, prints. No statistics live here."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

import causalrec

app = typer.Typer(
    name="causalrec",
    help="Causal inference for recommender systems: from a declared graph to an effect, a debiased"
    " recommender and an audit, every number with its interval.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="Exit codes: 0 ok; 1 a --fail-on threshold is breached; 2 usage; 3 bad data;"
    " 4 not identified, or no overlap.",
)

AsJson = Annotated[
    bool, typer.Option("--json", help="Print one line of JSON to stdout, and nothing else.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]


class _Progress:
    """Says on stderr what is being done; silent when asked, plain when not a terminal."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        if self._quiet:
            yield
            return
        from rich.console import Console

        console = Console(stderr=True)
        if console.is_terminal:
            with console.status(text):
                yield
        else:
            console.print(text, highlight=False)
            yield

    def __call__(self, text: str) -> None:
        if not self._quiet:
            typer.echo(text, err=True)


def _print(text: str, document: dict[str, Any], as_json: bool) -> None:
    typer.echo(json.dumps(document, ensure_ascii=False) if as_json else text.rstrip("\n"))


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("causalrec-demo"),
    seed: Annotated[int, typer.Option(help="Seed of the simulated worlds.")] = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Answer the three questions where the truth is known.

    A real log follows; the answers are printed, and a report is written.
    """
    from causalrec.study import run_demo

    result = run_demo(output, seed=seed, progress=_Progress(quiet))
    report = output / "report.html"
    _print(
        f"{_tables(result)}\n\n{result.answer}\n\nThe report: {report}",
        {"report": str(report), **result.to_dict()},
        as_json,
    )


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="The study file to write.")] = Path("study.toml"),
    force: Annotated[bool, typer.Option(help="Write over a file that exists.")] = False,
) -> None:
    """Write a commented study file to start from."""
    from causalrec.study import write_starter

    write_starter(path, force=force)
    typer.echo(f"Wrote {path}. Next: causalrec check {path}")


@app.command()
def check(
    study: Annotated[Path, typer.Argument(help="The study file (TOML).")],
    as_json: AsJson = False,
) -> None:
    """Say whether a study can be answered, before fitting anything.

    Its file, its log, its graph, and whether the graph identifies every question.
    """
    from causalrec.study import check_study

    checked = check_study(study)
    _print(checked.summary(), checked.to_dict(), as_json)


@app.command()
def run(
    study: Annotated[Path, typer.Argument(help="The study file (TOML).")],
    output: Annotated[Path | None, typer.Option(help="Folder, instead of the study's own.")] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(help="Exit with 1 where it holds: 'QUESTION/LABEL.lower > 0.1'."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run a study: its answers, report and ledger of assumptions."""
    from causalrec.study import breaches, read_study, read_thresholds, report_paths, run_study

    names = [question.name for question in read_study(study).questions]
    thresholds = read_thresholds(fail_on or [], names)
    result = run_study(study, output=output, progress=_Progress(quiet))
    breached = breaches(result, thresholds)
    written = [str(path) for path in report_paths(study, output)]
    _print(_answers(result, written), {**result.to_dict(), "breaches": breached}, as_json)
    for line in breached:
        typer.echo(f"breached: {line}", err=True)
    if breached:
        raise typer.Exit(1)


@app.command()
def report(
    results: Annotated[list[Path], typer.Argument(help="Result files (JSON).")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="By its ending: .html .json .md .csv .tex")
    ] = Path("report.html"),
) -> None:
    """Draw one or several saved results as a report."""
    loaded = [causalrec.Result.load(path) for path in results]
    causalrec.write_report(loaded[0] if len(loaded) == 1 else loaded, output)
    typer.echo(str(output))


@app.command()
def graph(
    name: Annotated[str | None, typer.Argument(help="A shipped graph, or a DOT file.")] = None,
    query: Annotated[
        str | None,
        typer.Option(help="'effect', 'mean' or 'path'; by default what the graph can be asked."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the drawing (SVG) and the DAGitty text.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a graph and what it identifies, or list the shipped ones.

    Without a name the shipped graphs are listed, each with what it assumes.
    """
    from causalrec.errors import IdentificationError, StudyError
    from causalrec.study import describe_graph, describe_graphs, write_graph

    if name is None and output is not None:
        raise StudyError("--output draws one graph: name it, or the path of its file.")
    try:
        described = describe_graphs() if name is None else describe_graph(name, query)
    except IdentificationError:
        if name is not None and output is not None:
            for path in write_graph(name, output):  # what is not identified can be drawn as well
                typer.echo(str(path), err=as_json)
        raise
    _print(described.summary(), described.to_dict(), as_json)
    if name is not None and output is not None:
        for path in write_graph(name, output, described.adjustment):
            typer.echo(str(path), err=as_json)


@app.command()
def simulate(
    world: Annotated[str, typer.Argument(help="shop, social, music or video.")],
    output: Annotated[Path, typer.Option(help="Folder for the tables.")],
    n_users: Annotated[int | None, typer.Option(help="Users.")] = None,
    n_items: Annotated[int | None, typer.Option(help="Items.")] = None,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
) -> None:
    """Write a simulated world: its tables, its truth, a study of it.

    Tables are Parquet, the truth is JSON.
    """
    from causalrec.study import write_world

    sizes = {k: v for k, v in {"n_users": n_users, "n_items": n_items}.items() if v is not None}
    for path in write_world(world, output, random_state=seed, **sizes):
        typer.echo(str(path))


def _answers(result: Any, written: list[str]) -> str:
    """Return each question's answer, what is violated, and where all the rest is."""
    parts = [result.title]
    for one in result.sections:
        parts.append(f"{one.name}: {one.answer or one.title}")
        parts += [f"{part.title}: {part.answer}" for part in one.sections if part.answer]
    violated = [a for a in result.assumptions if a.status == "violated"]
    if violated:
        parts.append("\n".join(f"violated: {a.name}: {a.statement} {a.evidence}" for a in violated))
    parts.append("The report: " + ", ".join(written))
    return "\n\n".join(parts)


def _tables(result: Any) -> str:
    """Return the tables of a result as plain text, each under its title."""
    from causalrec.results import format_cell

    lines = [result.title]
    for table in result.tables:
        text = [[format_cell(cell) for cell in row] for row in (table.columns, *table.rows)]
        widths = [max(len(row[i]) for row in text) for i in range(len(table.columns))]
        padded = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in text
        ]
        rule = "  ".join("-" * width for width in widths)
        lines += ["", table.title, "", padded[0], rule, *padded[1:]]
    return "\n".join(lines)


def main() -> None:
    """Run the command line; a causalrec error becomes its message and its exit code."""
    from causalrec.errors import CausalRecError

    try:
        app()
    except CausalRecError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
