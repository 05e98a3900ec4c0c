"""docs/performance.md, as text made of the figures of one run of `make bench`."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from memgrain.sim import MODEL_VERSION
from tests.bench.figure import Figure

_INTRODUCTION = """\
# Performance

How fast the simulator is, how much memory it takes, and what that is beside its goals and beside other simulators.
`make bench` measures all figures and writes this file; nothing in it is written by hand. With `CI` set it prints them
and leaves the file alone, so that what is kept is a run on a quiet machine.

## How it is measured

- Times are walls of whole calls in one process that has compiled its loops: one run to warm up, then the median of
  three (of our lookups, which are short: seven), of fewer where those take longer than 12 s together. *>* before a
  value: the work was stopped at that time.
- Rates of other simulators are measured in the same run, on the same accesses; ratios and costs of a line move less
  from machine to machine than seconds do.
- Memory is the peak of the resident memory of a process that runs the point and no other.
- No test asserts a time. Goals in seconds are for a machine with two cores.
"""


@dataclass
class Section:
    """The figures of one module of tests/bench."""

    heading: str
    """Its heading."""
    text: str
    """What is measured and how: the module's docstring."""
    figures: list[Figure] = field(default_factory=list)
    """The figures, in the order of their measurement."""


def machine() -> dict[str, str]:
    """What the figures are measured on, and when."""
    packages = ("numba", "llvmlite", "numpy", "simpy", "pycachesim", "libcachesim")
    load = f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "load before the first figure (mean of a minute)": load,
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        **{name: _version(name) for name in packages},
        "version of the model": str(MODEL_VERSION),
    }


def document(sections: Sequence[Section], measured_on: dict[str, str], wall: float) -> str:
    """The whole file; `wall` is how long the run took, in seconds."""
    rows = {**measured_on, "the whole run": f"{wall:.0f} s"}
    about = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    parts = [_INTRODUCTION, f"## The machine\n\n| | |\n| --- | --- |\n{about}\n"]
    return "\n".join([*parts, *(_section(section) for section in sections)])


def _section(section: Section) -> str:
    head = "| figure | value | unit | goal | | other simulators |\n| --- | ---: | --- | ---: | --- | --- |"
    rows = "\n".join(_row(figure) for figure in section.figures)
    return f"## {section.heading}\n\n{section.text.strip()}\n\n{head}\n{rows}\n"


def _row(figure: Figure) -> str:
    name, *cells = figure.cells()
    indent = "&nbsp;&nbsp;" if name.startswith(" ") else ""
    return "| " + " | ".join((indent + name.strip(), *cells)) + " |"


def _processor() -> str:
    """The processor's name: Linux keeps it in a file, others tell it to `platform`."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
