"""Imports point inwards, without a circle: every module of the package is looked at, and every pure one is loaded."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import spherex_butler

ROOT = Path(spherex_butler.__file__).parent

ORDER = {
    "pure": ("errors", "names", "constants", "paths", "formats", "images"),
    "butler": (
        "files",
        "configuration",
        "formatters",
        "repository",
        "ingest",
        "archive",
        "calibrations",
        "export",
        "verify",
    ),
    "edge": ("testing", "cli", "__main__"),
}
"""Rooms of each ring, from the inside out; each imports itself and what stands before it."""
ROOMS = tuple(room for ring in ORDER.values() for room in ring)


def modules() -> dict[str, Path]:
    names = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


MODULES = modules()


def imported(module: str) -> set[str]:
    """Return which modules of ours a module imports, wherever in it."""
    path = MODULES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            target = [*base, *filter(None, (node.module or "").split("."))]
            names = [".".join([*target, alias.name]) for alias in node.names]
            found |= {name if name in MODULES else ".".join(target) for name in names}
    return found - {module, ""}


def room_of(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def test_every_room_has_its_place():
    assert {room_of(module) for module in MODULES} - {""} == set(ROOMS)


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name))
def test_imports_point_inwards(module):
    allowed = ROOMS[: ROOMS.index(room_of(module)) + 1]
    assert sorted(other for other in imported(module) if room_of(other) not in allowed) == []


def test_there_is_no_circle_of_imports():
    graph = {module: imported(module) for module in MODULES if module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"circle: {' -> '.join(error.args[1])}")
