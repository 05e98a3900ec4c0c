"""`memgrain examples`: the workloads, sweeps, searches and claims that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    name: Annotated[str | None, typer.Argument(help="Print this one as a YAML file to start from.")] = None,
) -> None:
    """List them, or print one."""
    from memgrain.errors import MemgrainError
    from memgrain.inputs.spelling import suggest
    from memgrain.runs.shipped import shipped_files

    files = shipped_files()
    known = {path.stem: path for paths in files.values() for path in paths}
    if name is not None:
        if name not in known:
            raise MemgrainError(
                f"no workload, sweep, search or claim '{name}'{suggest(name, list(known))}; known: {', '.join(known)}"
            )
        print(known[name].read_text(encoding="utf-8"), end="")
        return
    for kind, paths in files.items():
        print(kind)
        for path in paths:
            print(f"  {path.stem:<36} {_first_line(path)}".rstrip())


def _first_line(path: Path) -> str:
    """The first comment of a file, or its title."""
    line = path.read_text(encoding="utf-8").splitlines()[0]
    title = line.removeprefix("title:")
    return line.removeprefix("#").strip() if line.startswith("#") else title.strip() if title != line else ""
