"""The page in a real browser: no request, no error, no barrier, no sideways scrolling."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import real_results
import report_examples

from causalrec.reporting import write_report
from causalrec.reporting._html import MAX_BYTES

pytestmark = pytest.mark.browser

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PAGES = {
    "effect, by hand": report_examples.effect_result,
    "evaluation, by hand": report_examples.evaluation_result,
    "audit, by hand": report_examples.audit_result,
    "study, by hand": report_examples.study_result,
}
REAL = (
    "one answer", "effect", "effect by group", "effect by many groups", "estimators",
    "heterogeneity", "validation", "policy tree", "forest", "refutation", "sensitivity",
    "interference", "interference, unknown", "instrument", "front door", "paths", "positions",
    "total", "mean", "bounds", "comparison", "evaluation", "tuning", "audit", "decomposition",
    "impact ratios", "mitigations", "simulation", "annex", "model card",
    "policy value", "graph check", "propensity", "study",
)  # fmt: skip
EVERY = (*PAGES, *REAL)
OUTSIDE = """() => [...document.querySelectorAll("svg text")].filter(node => {
    const box = node.getBoundingClientRect();
    const frame = node.ownerSVGElement.getBoundingClientRect();
    return box.width && (box.left < frame.left - 2 || box.right > frame.right + 2);
}).map(node => node.textContent)"""
"""The texts that run out of their figure."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.skip("no chromium on the path: the report cannot be opened in a browser here")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = {name: make() for name, make in PAGES.items()}
    made |= real_results.real_results()
    return {name: write_report(made[name], folder / f"{name}.html") for name in EVERY}


def _open(browser: Any, path: Path, *, width: int = 1200, scheme: str = "light") -> Any:
    context = browser.new_context(
        offline=True, viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    page = context.new_page()
    page.heard = []
    page.on("console", lambda message: page.heard.append(message.text))
    page.on("pageerror", lambda error: page.heard.append(str(error)))
    page.on("request", lambda request: page.heard.append(request.url))
    page.goto(path.as_uri())
    return page


def test_every_kind_has_a_page(pages: dict[str, Path]) -> None:
    assert set(real_results.real_results()) == set(REAL)
    assert set(pages) == set(EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_it_asks_for_nothing_and_complains_of_nothing(
    name: str, browser: Any, pages: dict[str, Path]
) -> None:
    assert pages[name].stat().st_size < MAX_BYTES
    page = _open(browser, pages[name])
    assert page.heard == [pages[name].as_uri()]
    assert page.evaluate(OUTSIDE) == []
    page.context.close()


@pytest.mark.parametrize("name", EVERY)
def test_axe_finds_no_barrier(
    name: str, browser: Any, pages: dict[str, Path], tmp_path: Path
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    # axe is a script, which the page's policy forbids: it is tested in a copy without the policy.
    copy = tmp_path / "copy.html"
    text = pages[name].read_text("utf-8").replace("Content-Security-Policy", "X-Left-Out")
    copy.write_text(text, encoding="utf-8")
    both = name in PAGES or name == "one answer"  # the others are made of the same parts
    for width, scheme in ((1200, "light"), (400, "dark")) if both else ((1200, "light"),):
        page = _open(browser, copy, width=width, scheme=scheme)
        page.evaluate("document.querySelectorAll('details').forEach(node => { node.open = true })")
        found = axe.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        page.context.close()


@pytest.mark.parametrize("name", EVERY)
def test_a_telephone_needs_no_sideways_scrolling(
    name: str, browser: Any, pages: dict[str, Path]
) -> None:
    page = _open(browser, pages[name], width=400)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    sizes = page.evaluate(
        """() => [...document.querySelectorAll("svg text")]
            .filter(node => node.getClientRects().length && !node.closest(".scroll"))
            .map(node => node.getBoundingClientRect().height)"""
    )
    assert min(sizes, default=10) > 9
    wide = page.evaluate(
        """() => [...document.querySelectorAll(".scroll")]
            .filter(node => node.scrollWidth > node.clientWidth && node.tabIndex !== 0).length"""
    )
    assert wide == 0
    assert page.evaluate(OUTSIDE) == []
    page.context.close()


def test_print_shows_what_is_folded_and_the_wide_figure(
    browser: Any, pages: dict[str, Path]
) -> None:
    page = _open(browser, pages["study, by hand"], width=400, scheme="dark")
    page.emulate_media(media="print")
    hidden = page.evaluate(
        """() => [...document.querySelectorAll("details table")]
            .filter(node => node.getBoundingClientRect().height < 20).length"""
    )
    assert page.locator("details table").count() > 0
    assert hidden == 0
    assert page.locator(".forest .wide").first.is_visible()
    assert not page.locator(".forest .narrow").first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.context.close()
