"""How many small faults do the tests find? `python -m tests.mutants` plants a sample of them with mutmut, one by one.

A room is a folder whose functions are changed and the tests that must notice. Each room gets a copy of the project
under `mutants/`, in which mutmut writes and runs; the sample is drawn from all mutants of the room. mutmut changes
functions without decorators: compiled loops, properties and validators stay as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = {
    "hwmodels": (["hwmodels/*.py"], ["tests/hwmodels"]),
    "collectives": (["sim/network/collectives.py", "sim/network/schedule.py"], ["tests/sim/test_collectives.py"]),
    "compute": (
        ["sim/levels/compute.py", "sim/breakdown/bounds.py"],
        ["tests/sim/test_compute.py", "tests/sim/test_physics.py"],
    ),
    "curve": (["sim/curves/curve.py", "sim/curves/probe.py"], ["tests/sim/test_curve.py"]),
    "prefetch": (["sim/prefetch*.py"], ["tests/sim/test_prefetch.py", "tests/sim/test_fates.py"]),
    "dram": (
        ["sim/dram/dram.py", "sim/dram/channel.py"],
        ["tests/sim/test_dram.py", "tests/sim/test_dram_reference.py"],
    ),
    "machine": (["sim/*.py"], ["tests/sim"]),
}
"""Files that are changed, and the tests that are run, by room."""
CONFIG = """
[tool.mutmut]
source_paths = ["hwmodels", "sim"]
only_mutate = {files}
do_not_mutate = ["measurements/*", "sim/compiled/*"]
also_copy = ["memgrain", "docs", "tests", "workloads"]
pytest_add_cli_args = ["-p", "no:xdist", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
pytest_add_cli_args_test_selection = {tests}
"""
STATUS = {0: "survived", 5: "untested", 33: "untested", 24: "timeout", 36: "timeout", 152: "timeout", -24: "timeout"}
"""mutmut's exit codes that are not a test's failure."""


def main() -> None:
    """Plant, test, and print the share killed by file, and every mutant that no test noticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rooms", nargs="*", default=list(ROOMS), help=f"some of {', '.join(ROOMS)}; all if left out")
    parser.add_argument("--sample", type=int, default=100, help="mutants of each room")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    chosen = parser.parse_args()
    for room in chosen.rooms:
        folder = lay_out(room)
        mutmut(folder, "run", "--max-children", "1", "no.such.mutant")
        names = sorted(codes(folder))
        picked = sorted(random.Random(chosen.seed).sample(names, min(chosen.sample, len(names))))
        mutmut(folder, "run", "--max-children", "1", *picked)
        report(room, picked, len(names), settle(room, folder, picked))


def lay_out(room: str) -> Path:
    """A copy of the project for the room, with mutmut's settings."""
    folder = ROOT / "mutants" / room
    shutil.rmtree(folder, ignore_errors=True)
    kept = shutil.ignore_patterns("__pycache__", ".*", "mutants", "out", "notebooks")
    shutil.copytree(ROOT, folder, ignore=kept)
    files, tests = ROOMS[room]
    with (folder / "pyproject.toml").open("a") as settings:
        settings.write(CONFIG.format(files=json.dumps(files), tests=json.dumps(tests)))
    return folder


def mutmut(folder: Path, *arguments: str) -> str:
    """What mutmut prints."""
    done = subprocess.run([sys.executable, "-m", "mutmut", *arguments], cwd=folder, capture_output=True, text=True)
    return done.stdout


def codes(folder: Path) -> dict[str, int | None]:
    """Exit codes of the room's mutants by name; None of one that was not run."""
    found: dict[str, int | None] = {}
    for path in (folder / "mutants").rglob("*.py.meta"):
        found |= json.loads(path.read_text())["exit_code_by_key"]
    return found


def settle(room: str, folder: Path, picked: list[str]) -> dict[str, str]:
    """What became of each mutant. mutmut runs the tests that were seen to call a function, and does not see a call from
    a fixture that several tests share, so that what it lets live meets all tests of the room once more."""
    found = codes(folder)
    states = {}
    for name in picked:
        code = found[name]
        state = "not run" if code is None else STATUS.get(code, "killed")
        if state in ("survived", "untested"):
            state = "killed" if fails(room, folder, name) else "survived"
        states[name] = state
    return states


def fails(room: str, folder: Path, name: str) -> bool:
    """Whether a test of the room fails with the mutant."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--hypothesis-seed=0", *ROOMS[room][1]],
        cwd=folder / "mutants",
        env={**os.environ, "MUTANT_UNDER_TEST": name, "PYTHONPATH": "."},
        capture_output=True,
    )
    return done.returncode != 0


def report(room: str, picked: list[str], total: int, states: dict[str, str]) -> None:
    """Print what became of the sample, and every mutant that no test noticed."""
    print(f"{room}: {len(picked)} of {total} mutants: {counted(states.values())}")
    for file in sorted({name.rpartition(".")[0] for name in picked}):
        print(f"  {file}: {counted(state for name, state in states.items() if name.rpartition('.')[0] == file)}")
    for name, state in states.items():
        if state == "survived":
            print(mutmut(ROOT / "mutants" / room, "show", name))


def counted(states: Iterable[str]) -> str:
    """How many there are of each state."""
    return ", ".join(f"{number} {state}" for state, number in sorted(Counter(states).items()))


if __name__ == "__main__":
    main()
