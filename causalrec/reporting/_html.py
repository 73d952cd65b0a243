"""The HTML page: one file, no script, no network, everything escaped."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from causalrec import __version__
from causalrec.reporting._svg import clean
from causalrec.reporting._view import Counters, MaxRows, build
from causalrec.results import Result

if TYPE_CHECKING:
    import jinja2

MAX_BYTES = 300 * 1024
_TO_TRY = (
    MaxRows(evidence=120, diagnostics=120, lines=48),
    MaxRows(evidence=120, diagnostics=40, lines=48),
    MaxRows(evidence=120, diagnostics=15, lines=48),
    MaxRows(evidence=120, diagnostics=5, lines=24),
    MaxRows(evidence=60, diagnostics=5, lines=16),
    MaxRows(evidence=40, diagnostics=5, lines=10),
    MaxRows(evidence=20, diagnostics=5, lines=8),
    MaxRows(evidence=5, diagnostics=5, lines=5),
)
"""How much of what is long is shown: the most that fits.

Diagnostics give way first: the evidence is what a report is read for.
"""


def render_html(result: Result) -> str:
    """Return a result as an HTML page of less than 300 KiB.

    Long tables are cut until the page is small enough, and say how many rows they leave out; the
    JSON and CSV forms have them all.
    """
    template = _environment().get_template("page.html.j2")
    page = ""
    for max_rows in _TO_TRY:
        section = build(result, Counters(), "result", max_rows)
        page = template.render(section=section, version=__version__)
        if len(page.encode()) < MAX_BYTES:
            break
    return page


def _printable(value: object) -> object:
    """Return text without what no document may hold; figures were cleaned when they were drawn."""
    return clean(value) if isinstance(value, str) else value


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("causalrec.reporting", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_printable,
        keep_trailing_newline=True,
    )
