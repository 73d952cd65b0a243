"""A small SVG writer: it escapes whatever it is given, and writes the same bytes every time.

This is the only place where markup is made by hand, hence the only one that says `Markup`.
Colours are classes, which the page's style sheet fills in for light and dark.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from markupsafe import Markup, escape

# Characters that no XML document may hold, even escaped.
_FORBIDDEN = {code: "\N{REPLACEMENT CHARACTER}" for code in range(32) if code not in {9, 10, 13}}

# A sans-serif letter is about this share of its size wide; a little more than the average, so
# that what is measured with it fits whatever font the reader has.
_LETTER = 0.56


class Svg:
    """One inline figure with a title and a description for those who do not see it.

    Examples
    --------
    >>> figure = Svg(20, 10, title="a < b", description="", identity="f1")
    >>> figure.add("circle", cx=1.25, cy=2, r=3, class_="mark")
    >>> str(figure.render().split("</title>")[1])
    '<circle cx="1.25" cy="2" r="3" class="mark"/></svg>'
    """

    def __init__(
        self, width: float, height: float, *, title: str, description: str, identity: str
    ) -> None:
        self.width = width
        self.height = height
        self._title = title
        self._description = description
        self._identity = identity
        self._parts: list[Markup] = []

    def add(
        self, tag: str, text: str | None = None, *, hover: str = "", **attributes: str | float
    ) -> None:
        """Add an element; `hover` becomes its own title, which browsers show as a tip.

        An empty text is left out.
        """
        if text == "":
            return
        body = Markup("")
        if hover:
            body += Markup("<title>{}</title>").format(clean(hover))
        if text is not None:
            body += escape(clean(text))
        start = Markup("<{}{}").format(Markup(tag), _attributes(attributes))
        self._parts.append(
            start + Markup(">{}</{}>").format(body, Markup(tag)) if body else start + Markup("/>")
        )

    def lines(
        self,
        texts: Sequence[str],
        x: float,
        y: float,
        *,
        step: float = 14,
        hover: str = "",
        **attributes: str | float,
    ) -> None:
        """Add a text of several lines, centred on `y`."""
        top = y - step * (len(texts) - 1) / 2
        body = Markup("<title>{}</title>").format(clean(hover)) if hover else Markup("")
        for i, line in enumerate(texts):
            place = _attributes({"x": x, "y": top + i * step})
            body += Markup("<tspan{}>{}</tspan>").format(place, clean(line))
        self._parts.append(Markup("<text{}>{}</text>").format(_attributes(attributes), body))

    @contextmanager
    def group(self, **attributes: str | float) -> Iterator[None]:
        """Put what is added inside into one group."""
        self._parts.append(Markup("<g{}>").format(_attributes(attributes)))
        yield
        self._parts.append(Markup("</g>"))

    def render(self) -> Markup:
        """Return the figure as markup that a template may print as it stands."""
        name = self._identity
        labels = f"{name}-title {name}-desc" if self._description else f"{name}-title"
        size = plain(self.width), plain(self.height)
        head = Markup(
            '<svg width="{}" height="{}" viewBox="0 0 {} {}"'
            ' role="img" aria-labelledby="{}"><title id="{}-title">{}</title>'
        ).format(*size, *size, labels, name, clean(self._title))
        if self._description:
            head += Markup('<desc id="{}-desc">{}</desc>').format(name, clean(self._description))
        return head + Markup("").join(self._parts) + Markup("</svg>")


def plain(value: float) -> str:
    """Return a coordinate with at most two decimals.

    Examples
    --------
    >>> plain(3.0), plain(0.125), plain(-0.001)
    ('3', '0.12', '0')
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def clean(text: str) -> str:
    """Return text without the control characters that no document may hold."""
    return text.translate(_FORBIDDEN)


def text_width(text: str, size: float) -> float:
    """Return about how wide a text is."""
    return len(text) * size * _LETTER


def figures_width(text: str, size: float) -> float:
    """Return about how wide a number or an interval is: digits are twice as wide as points.

    Examples
    --------
    >>> figures_width("0.25", 10) < figures_width("0,255", 10) < text_width("0.255", 10)
    True
    """
    points = sum(text.count(mark) for mark in ".,[] ")
    return (0.29 * points + 0.6 * (len(text) - points)) * size


def fit(text: str, width: float, size: float, max_lines: int = 2) -> list[str]:
    """Return a text broken into lines that fit, the last one cut with an ellipsis.

    Examples
    --------
    >>> fit("a rather long label for a group", 84, 12, max_lines=2)
    ['a rather', 'long label…']
    """
    letters = max(4, int(width / (size * _LETTER)))
    lines = textwrap.wrap(text, letters, break_on_hyphens=False) or [""]
    if len(lines) > max_lines:
        last = lines[max_lines - 1]
        cut = last if len(last) < letters else last[: letters - 1]
        lines = [*lines[: max_lines - 1], cut.rstrip() + "\N{HORIZONTAL ELLIPSIS}"]
    return lines


def _attributes(attributes: dict[str, str | float]) -> Markup:
    out = Markup("")
    for name, value in attributes.items():
        text = clean(value) if isinstance(value, str) else plain(value)
        out += Markup(' {}="{}"').format(Markup(name.rstrip("_").replace("_", "-")), text)
    return out
