"""What `memgrain run --assumptions` prints: the interval of a time that a chip's assumptions span, number by number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.table import Table

from codesign.assumptions import Interval, interval
from codesign.cli.terminal import console
from codesign.provenance import with_unit


def show_interval(
    chip: str, chip_set: Mapping[str, Any], workload: str, workload_set: Mapping[str, Any], as_json: bool
) -> None:
    """Simulate every end, and print a table or one JSON object."""
    found = interval(chip, chip_set, workload, workload_set)
    if as_json:
        print(json.dumps(asdict(found), indent=2))
        return
    screen = console()
    screen.print(f"{workload} on {chip}: {found.time_us:.4g} us", style="bold")
    screen.print(
        f"every assumed number at its faster end {found.fastest_us:.4g} us, at its slower end {found.slowest_us:.4g} us"
    )
    screen.print(_numbers(found))


def _numbers(found: Interval) -> Table:
    table = Table(title="one at a time", title_justify="left", title_style="bold", box=None)
    for title in ("number", "value", "lowest", "time us", "highest", "time us"):
        table.add_column(title, justify="left" if title == "number" else "right", no_wrap=True)
    for item in found.numbers:
        low, high = ("refused" if time is None else f"{time:.4g}" for time in item.times_us)
        table.add_row(item.path, with_unit(item.value), with_unit(item.ends[0]), low, with_unit(item.ends[1]), high)
    return table
