"""The pages keep their word: their code runs, their tables are complete, their links lead on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import causalrec
from causalrec.study import StudyFile

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", *DOCS]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def code_of(page: Path) -> list[tuple[int, str]]:
    """Return the blocks of Python on a page, each with the line it begins at."""
    text = page.read_text(encoding="utf-8")
    return [(text[: found.start(1)].count("\n"), found.group(1)) for found in BLOCK.finditer(text)]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if code_of(page)], ids=lambda page: page.name
)
def test_the_code_of_a_page_runs_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": page.stem}
    for line, block in code_of(page):
        # Empty lines before the block, so that a traceback names the line of the page.
        exec(compile("\n" * line + block, str(page), "exec"), names)


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page.name for page in DOCS if f": {page.name}\n" not in navigation] == []


def test_every_public_name_is_in_the_reference() -> None:
    reference = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    missing = [
        name
        for name in causalrec.__all__
        if not re.search(rf"^::: causalrec\.([a-z]+\.)?{name}$", reference, re.MULTILINE)
    ]
    assert missing == []


def sections(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield a model and every model inside its fields."""
    yield model
    for field in model.model_fields.values():
        waiting = [field.annotation]
        while waiting:
            found = waiting.pop()
            if isinstance(found, type) and issubclass(found, BaseModel):
                yield from sections(found)
            waiting += getattr(found, "__args__", ())


def test_every_option_of_a_study_is_on_its_page() -> None:
    page = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    options = {name for section in sections(StudyFile) for name in section.model_fields}
    headed = {"study", "log", "columns", "propensity", "split", "models", "questions"}
    assert {"lam", "min_cell", "logging_propensity"} <= options
    assert sorted(name for name in options - headed if f"`{name}`" not in page) == []


def test_the_study_on_the_page_is_one() -> None:
    import tomllib

    page = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    found = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found
    for text in found:
        StudyFile.model_validate(tomllib.loads(text))


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_no_page_asks_anything_of_the_network(page: Path) -> None:
    assert not re.search(r"<script|!\[[^]]*\]\(http", page.read_text(encoding="utf-8"))
