"""Floor 3 as a plan of the house: few rooms, few arrows between them, and the claims above all the rest."""

from __future__ import annotations

import tomllib
from pathlib import Path

import grimp
import pytest

BELOW = {"hwmodels", "workloads", "sim", "inputs", "errors"}
"""What lies below floor 3, the file of the exception included."""
DOORS = {"cli", "api"}
"""Rooms that may import all others: the command line and the functions behind `import memgrain`."""
MOST_ARROWS = 60
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def arrows() -> set[tuple[str, str]]:
    """Pairs of rooms of which the first imports the second; a room is what lies right under `memgrain`."""
    graph = grimp.build_graph("memgrain", cache_dir=None)
    pairs = {
        (module.split(".")[1], imported.split(".")[1])
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
        if "." in module and "." in imported
    }
    return {(one, other) for one, other in pairs if one != other and not {one, other} & BELOW}


def test_few_arrows_join_the_rooms(arrows: set[tuple[str, str]]) -> None:
    assert len(arrows) <= MOST_ARROWS, sorted(arrows)


def test_only_the_doors_know_the_claims(arrows: set[tuple[str, str]]) -> None:
    assert {room for room, imported in arrows if imported == "claims"} == DOORS


def test_the_layers_name_every_room() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    named = {room for layer in contracts[0]["layers"] for room in layer.split(" | ")}
    assert named == {path.stem for path in (ROOT / "memgrain").iterdir() if not path.name.startswith(("__", "py."))}
