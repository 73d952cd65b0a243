"""LaTeX: the evidence as booktabs tables, to be put into a paper."""

from __future__ import annotations

from collections.abc import Iterator

from causalrec.reporting._evidence import Grid, evidence_grid, table_grid
from causalrec.reporting._summary import headline, summary_table
from causalrec.reporting._svg import clean
from causalrec.results import Result

_ALL_ROWS = 10**9
_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "\N{MINUS SIGN}": "$-$", "\N{MULTIPLICATION SIGN}": r"$\times$",
    # A bracket that opens a row would be read as the argument of the \\ before it.
    "[": "{[}", "]": "{]}",
}  # fmt: skip


def render_latex(result: Result) -> str:
    r"""Return the tables of a result as LaTeX; the preamble needs `\usepackage{booktabs}`."""
    head = ["% Needs \\usepackage{booktabs} and a UTF-8 engine."]
    return "\n".join([*head, *_latex(result)]) + "\n"


def _latex(result: Result) -> Iterator[str]:
    yield from ("", f"% {' '.join(result.title.split())}")
    whole = result.kind == "study" and bool(result.sections)
    if whole and any(headline(section) is not None for section in result.sections):
        yield from _booktabs(table_grid(summary_table(result.sections), _ALL_ROWS, captioned=False))
    elif result.rows:
        stop = "" if result.title.endswith(("?", "!", ".")) else "."
        caption = f"{result.title}{stop} {result.answer}".strip()
        yield from _booktabs(evidence_grid(result.rows, _ALL_ROWS), caption)
    for table in result.tables:
        yield from _booktabs(table_grid(table, _ALL_ROWS, captioned=True))
    for section in result.sections:
        yield from _latex(section)


def _booktabs(grid: Grid, caption: str = "") -> Iterator[str]:
    columns = "".join("r" if numeric else "l" for numeric in grid.numeric)
    text = f"{caption} {grid.caption.removeprefix('The numbers.')}" if caption else grid.caption
    yield r"\begin{table}"
    yield rf"\caption{{{escape_latex(' '.join(text.split()))}}}"
    yield r"\centering"
    yield rf"\begin{{tabular}}{{{columns}}}"
    yield r"\toprule"
    yield " & ".join(escape_latex(name) for name in grid.columns) + r" \\"
    yield r"\midrule"
    for row in grid.rows:
        yield " & ".join(escape_latex(cell) for cell in row) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield r"\end{table}"


def escape_latex(text: str) -> str:
    r"""Return text that LaTeX prints as it stands.

    Examples
    --------
    >>> print(escape_latex("50% of a_b & {c}"))
    50\% of a\_b \& \{c\}
    """
    return "".join(_SPECIAL.get(letter, letter) for letter in " ".join(clean(text).split()))
