"""Reports: a result drawn as a page, or written as JSON, Markdown, CSV or LaTeX.

This room only draws. Every number, sentence and suppression was decided in the result.
"""

from causalrec.reporting._annex import evidence_annex
from causalrec.reporting._graph_file import graph_svg
from causalrec.reporting._graph_picture import draw_graph
from causalrec.reporting._html import render_html
from causalrec.reporting._latex import render_latex
from causalrec.reporting._model_card import model_card
from causalrec.reporting._statements import AuditScope, ModelDetails
from causalrec.reporting._summary import summary_table
from causalrec.reporting._text import render_csv, render_markdown
from causalrec.reporting._write import write_report

__all__ = [
    "AuditScope",
    "ModelDetails",
    "draw_graph",
    "evidence_annex",
    "graph_svg",
    "model_card",
    "render_csv",
    "render_html",
    "render_latex",
    "render_markdown",
    "summary_table",
    "write_report",
]
