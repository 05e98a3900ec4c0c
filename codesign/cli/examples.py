"""`memgrain examples`: the workloads and sweeps that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    name: Annotated[
        str | None, typer.Argument(help="Print this workload or sweep as a YAML file to start from.")
    ] = None,
) -> None:
    """List them, or print one."""
    from codesign.errors import CodesignError
    from codesign.shipped import example_names, find_sweep, find_workload, suggest, sweep_names

    if name is not None:
        if name not in example_names() + sweep_names():
            known = example_names() + sweep_names()
            raise CodesignError(f"no workload or sweep '{name}'{suggest(name, known)}; known: {', '.join(known)}")
        path = find_workload(name) if name in example_names() else find_sweep(name)
        print(path.read_text(encoding="utf-8"), end="")
        return
    print("workloads")
    for shipped in example_names():
        print(f"  {shipped:<24} {_first_comment(find_workload(shipped))}".rstrip())
    print("sweeps")
    for shipped in sweep_names():
        print(f"  {shipped:<24} {_first_comment(find_sweep(shipped))}".rstrip())


def _first_comment(path: Path) -> str:
    line = path.read_text(encoding="utf-8").splitlines()[0]
    return line.removeprefix("#").strip() if line.startswith("#") else ""
