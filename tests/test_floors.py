"""The house of ARCHITECTURE.md, held against the real imports: an import only points down."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "causalrec"

FLOORS: dict[str, int] = {
    "errors": 0,
    "lazy": 0,
    "threads": 0,
    "graph": 1,
    "interactions": 1,
    "datasets": 2,
    "simulation": 2,
    "inference": 3,
    "results": 3,
    "scores": 3,
    "nuisances": 4,
    "effects": 5,
    "factorization": 5,
    "evaluation": 6,
    "audits": 7,
    "reporting": 8,
    "study": 9,
    "cli": 10,
}


def _room(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def _imported_rooms(path: Path) -> set[str]:
    """Rooms that a file imports, at the top or inside a function, `TYPE_CHECKING` included."""
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            is_package = node.module == "causalrec"
            names = [f"causalrec.{a.name}" if is_package else node.module for a in node.names]
        else:
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"relative: {path}"
            continue
        rooms |= {name.split(".")[1] for name in names if name.startswith("causalrec.")}
    return rooms - {"__version__"}


FILES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_only_point_down(path: Path) -> None:
    room = _room(path)
    for imported in sorted(_imported_rooms(path) - {room}):
        assert FLOORS[imported] < FLOORS[room], f"{path.name}: {room} imports {imported}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_private_modules_stay_in_their_room(path: Path) -> None:
    reached = re.findall(r"from causalrec\.(\w+)\.[\w.]*_\w+ import", path.read_text("utf-8"))
    assert not {room for room in reached if room != _room(path)}


def test_every_room_stands_on_a_floor() -> None:
    assert {_room(path) for path in FILES} == set(FLOORS)


def test_architecture_page_names_the_same_floors() -> None:
    page = (PACKAGE.parent / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named: dict[str, float] = {}
    for floor, cell in re.findall(r"^\| (\d+[abc]?) \| ([^|]+) \|", page, flags=re.MULTILINE):
        order = int(floor.rstrip("abc")) + 0.1 * (
            "abc".index(floor[-1]) if floor[-1] in "abc" else 0
        )
        named |= dict.fromkeys(re.findall(r"`(\w+)(?:/|\.py)`", cell), order)
    assert set(named) == set(FLOORS)
    ranks = {order: rank for rank, order in enumerate(sorted(set(named.values())))}
    assert {room: ranks[order] for room, order in named.items()} == FLOORS


def test_architecture_page_points_at_files_that_exist() -> None:
    page = (PACKAGE.parent / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = re.findall(r"\| `([\w/]+/?[\w.]+\.(?:py|dot))` \|$", page, flags=re.MULTILINE)
    assert len(named) >= 8
    for path in named:
        assert (PACKAGE / path).exists() or (PACKAGE.parent / path).exists(), path


def test_a_room_never_bears_the_name_of_a_public_function() -> None:
    import causalrec

    assert not {_room(path) for path in FILES} & set(causalrec.__all__) - {"datasets", "errors"}
