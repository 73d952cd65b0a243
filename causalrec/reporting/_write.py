"""Writing a result: the file's ending says how, and a half-written file never stays."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from causalrec.errors import StudyError, near_miss
from causalrec.reporting._compose import compose
from causalrec.reporting._html import render_html
from causalrec.reporting._latex import render_latex
from causalrec.reporting._text import render_csv, render_markdown
from causalrec.results import Result

_RENDERERS: Mapping[str, Callable[[Result], str]] = MappingProxyType(
    {
        ".html": render_html,
        ".json": Result.to_json,
        ".md": render_markdown,
        ".csv": render_csv,
        ".tex": render_latex,
    }
)


def write_report(
    result: Result | Sequence[Result], path: str | os.PathLike[str], title: str | None = None
) -> Path:
    """Write a result, or several on one page, in the form that the file's ending says.

    Parameters
    ----------
    result : Result or sequence of Result
        An effect followed by what was asked about it (`effect.by(...)`, `effect.refute(log)`,
        `effect.sensitivity()`...) makes one page with one answer: the effect in a sentence and a
        forest plot, for whom it holds, overlap and balance, the doubts, then one ledger of
        assumptions that says which question each belongs to. Other results become the sections
        of a study, which begins with its contents and one line a question.
    path : str or path-like
        Ends in .html (a page to read), .json (the whole result), .md, .csv (a long table of the
        numbers) or .tex (booktabs). Its folder is made if need be. The file is written under a
        temporary name and renamed, so an earlier report stays whole until the new one is.
    title : str, optional
        Replaces the result's title.

    Returns
    -------
    pathlib.Path
        Where it was written.

    Raises
    ------
    StudyError
        If the ending is none of these, or what is to be written is not a result.

    Examples
    --------
    >>> import tempfile
    >>> from causalrec.results import Result, Row
    >>> effect = Result(kind="effect", title="Does showing sell?", answer="By 8 points.", rows=(
    ...     Row(label="effect", estimator="dr", value=0.083, lower=0.051, upper=0.115, n=900),))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_report(effect, f"{folder}/effect.md")
    ...     print(path.read_text(encoding="utf-8").splitlines()[0])
    # Does showing sell?
    """
    target = Path(path)
    renderer = _RENDERERS.get(target.suffix.lower())
    if renderer is None:
        raise StudyError(
            f"A report cannot be written as {target.name!r}: its ending must be one of"
            f" {', '.join(_RENDERERS)}.{near_miss(target.suffix, _RENDERERS)}"
        )
    _replace(target, renderer(compose(result, title)))
    return target


def _replace(target: Path, text: str) -> None:
    """Write under a temporary name beside the target, then rename: all or nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
