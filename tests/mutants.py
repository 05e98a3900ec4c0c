"""How many small faults do the tests find? `python -m tests.mutants` plants a sample of them with mutmut, one by one.

A room is a set of files whose functions are changed and the tests that must notice. Each room gets a copy of the
project under `mutants/`, in which mutmut writes and runs; the sample is drawn from all mutants of the room. mutmut
changes functions without decorators: compiled loops, properties and validators stay as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[1]
SMALL = "tests/sim/test_small_faults.py"
ROOMS = {
    "hwmodels": (["memgrain/hwmodels/*.py"], ["tests/hwmodels"]),
    "collectives": (
        ["memgrain/sim/network/collectives.py", "memgrain/sim/network/schedule.py"],
        ["tests/sim/test_collectives.py", "tests/sim/test_collective_edges.py"],
    ),
    "compute": (
        ["memgrain/sim/levels/compute.py", "memgrain/sim/breakdown/bounds.py"],
        ["tests/sim/test_compute.py", "tests/sim/test_physics.py", SMALL],
    ),
    "curve": (["memgrain/sim/curves/curve.py", "memgrain/sim/curves/probe.py"], ["tests/sim/test_curve.py"]),
    "prefetch": (["memgrain/sim/prefetch/*.py"], ["tests/sim/test_prefetch.py", "tests/sim/test_fates.py"]),
    "dram": (
        ["memgrain/sim/dram/dram.py", "memgrain/sim/dram/channel.py"],
        ["tests/sim/test_dram.py", "tests/sim/test_dram_reference.py", SMALL],
    ),
    "machine": (["memgrain/sim/*.py", "memgrain/sim/**/*.py"], ["tests/sim", "tests/memgrain/test_over_fetch.py"]),
}
"""Files that are changed, and the tests that are run, by room."""
CONFIG = """
[tool.mutmut]
source_paths = ["memgrain"]
only_mutate = {files}
also_copy = ["docs", "hwmodels", "measurements", "tests", "workloads"]
pytest_add_cli_args = ["-p", "no:xdist", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
pytest_add_cli_args_test_selection = {tests}
timeout_multiplier = 3.0
timeout_constant = 10.0
"""
SPINNER = tuple("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
STATUS = {0: "survived", 5: "untested", 33: "untested", 24: "timeout", 36: "timeout", 152: "timeout", -24: "timeout"}
"""mutmut's exit codes that are not a test's failure. A timeout is noticed too: the tests do not come to an end."""


def main() -> None:
    """Plant, test, and print the share killed by file, and every mutant that no test noticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rooms", nargs="*", help=f"some of {', '.join(ROOMS)}; all if left out")
    parser.add_argument("--sample", type=int, default=100, help="mutants of each room")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--minutes", type=float, default=60, help="time of each room; what is left is not decided")
    chosen = parser.parse_args()
    if unknown := sorted({*chosen.rooms} - {*ROOMS}):
        parser.error(f"there is no room {unknown[0]!r}; the rooms are {', '.join(ROOMS)}")
    if chosen.sample < 1:
        parser.error(f"--sample {chosen.sample} draws nothing; give at least 1")
    for room in chosen.rooms or ROOMS:
        visit(room, chosen.sample, chosen.seed, time.monotonic() + 60 * chosen.minutes)


def visit(room: str, sample: int, seed: int, until: float) -> None:
    """Draw a sample of a room's mutants, test it, and report."""
    lay_out(room)
    # mutmut writes the mutants and times the tests before it looks for the name
    status, said = mutmut(room, until, "no.such.mutant")
    if status is None:
        refuse(f"{room}: its tests take longer than --minutes; give more")
    if not (planted(room) / "mutmut-stats.json").exists():
        refuse(f"{said}\n{room}: its tests do not pass as they are, so that no fault was planted; see above")
    names = sorted(codes(room))
    picked = sorted(random.Random(seed).sample(names, min(sample, len(names))))
    mutmut(room, until, *picked)
    report(room, picked, len(names), settle(room, picked, until))


def planted(room: str) -> Path:
    """The folder in which mutmut writes the project with its mutants; beside it lies the copy that it reads."""
    return ROOT / "mutants" / room / "mutants"


def lay_out(room: str) -> None:
    """Make a copy of the project for the room, with mutmut's settings."""
    folder = planted(room).parent
    shutil.rmtree(folder, ignore_errors=True)
    kept = shutil.ignore_patterns("__pycache__", ".*", "mutants", "out", "notebooks")
    shutil.copytree(ROOT, folder, ignore=kept)
    planted(room).mkdir()  # Python finds nothing later in a folder of its path that is not there when it starts
    files, tests = ROOMS[room]
    with (folder / "pyproject.toml").open("a") as settings:
        settings.write(CONFIG.format(files=json.dumps(files), tests=json.dumps(tests)))


def refuse(why: str) -> NoReturn:
    """Say why there is nothing to report."""
    print(why, file=sys.stderr)
    sys.exit(2)


def mutmut(room: str, until: float, *names: str) -> tuple[int | None, str]:
    """Let mutmut test some mutants of the room; see `run`. What it prints is without its spinner."""
    status, said = run(room, planted(room).parent, until, {}, "mutmut", "run", "--max-children", "1", *names)
    return status, "\n".join(line for line in said.splitlines() if not line.startswith(SPINNER))


def run(room: str, folder: Path, until: float, extra: dict[str, str], *module: str) -> tuple[int | None, str]:
    """Run a module of Python in a folder, with `extra` environment, until it ends or is ended with all that it started:
    its exit status (None: it was ended) and what it printed. It imports the room's planted files, from wherever this
    project is installed."""
    process = subprocess.Popen(
        [sys.executable, "-m", *module],
        cwd=folder,
        env={**os.environ, **extra, "PYTHONPATH": str(planted(room))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return None, process.communicate()[0]
    return process.returncode, said


def codes(room: str) -> dict[str, int | None]:
    """Exit codes of the room's mutants by name; None of one that was not run."""
    found: dict[str, int | None] = {}
    for path in planted(room).rglob("*.py.meta"):
        found |= json.loads(path.read_text())["exit_code_by_key"]
    return found


def settle(room: str, picked: list[str], until: float) -> dict[str, str]:
    """What became of each mutant. mutmut runs the tests that were seen to call a function, and does not see a call from
    a fixture that several tests share, so that what it lets live meets all tests of the room once more."""
    found = codes(room)
    states = {}
    for name in picked:
        code = found[name]
        state = "not decided" if code is None else STATUS.get(code, "killed")
        if state in ("survived", "untested"):
            state = retried(room, name, until)
        states[name] = state
    return states


def retried(room: str, name: str, until: float) -> str:
    """What becomes of the mutant under all tests of the room."""
    options = ["-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    extra = {"MUTANT_UNDER_TEST": name}
    status, _ = run(room, planted(room), until, extra, "pytest", *options, *ROOMS[room][1])
    if status is None:
        return "not decided"
    return "killed" if status else "survived"


def report(room: str, picked: list[str], total: int, states: dict[str, str]) -> None:
    """Print what became of the sample, and every mutant that no test noticed."""
    print(f"{room}: {len(picked)} of {total} mutants: {counted(states.values())}")
    for file in sorted({name.rpartition(".")[0] for name in picked}):
        print(f"  {file}: {counted(state for name, state in states.items() if name.rpartition('.')[0] == file)}")
    for name, state in states.items():
        if state == "survived":
            print(run(room, planted(room).parent, time.monotonic() + 60, {}, "mutmut", "show", name)[1])


def counted(states: Iterable[str]) -> str:
    """How many there are of each state."""
    return ", ".join(f"{number} {state}" for state, number in sorted(Counter(states).items()))


if __name__ == "__main__":
    main()
