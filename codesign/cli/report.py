"""One result on the terminal: time beside its bound, levels, tensors, breakdown, and how much rests on assumptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap

from rich.bar import Bar
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from codesign.cli.terminal import console
from codesign.provenance import assumed
from codesign.task import Point
from hwmodels import Provenance
from hwmodels.units import format_duration
from sim import METRICS, Result

WIDTH = 100
"""Characters of a line of a label."""
_LEFT_OUT = ("time_us", "bound", "bound_time_us", "bound_share")


def print_result(point: Point, result: Result, provenance: Mapping[str, Provenance]) -> None:
    """Print everything a person asks first."""
    screen = console()
    kernels = [(kernel.workload, kernel.time) for kernel in result.kernels]
    parts: list[RenderableType] = [
        _heading(point, result),
        _metrics(result),
        _levels(point, result),
        _tensors(point, result),
        _shares("where the time went", [(name, time) for name, time in result.breakdown.items() if time], result.time),
        *([_shares("kernels", kernels, result.time)] if kernels else []),
        Text(assumed(item for item in provenance.values() if not item.path.startswith("interconnect."))),
    ]
    for place, part in enumerate(parts):
        if place:
            screen.print()
        screen.print(part)


def _heading(point: Point, result: Result) -> Text:
    text = Text.assemble((f"{point.workload.name} on {point.chip.title}", "bold"))
    if point.overrides:
        text.append("  " + " ".join(f"{key}={value}" for key, value in point.overrides.items()))
    share = result.bounds.time / result.time if result.time else 0.0
    known = point.trust()
    first, second = known.lines
    wrapped = [
        *wrap(first, WIDTH, subsequent_indent="  "),
        *wrap(second, WIDTH, initial_indent="  ", subsequent_indent="  "),
    ]
    text.append(
        f"\ntime {_time(result.time)}{known.expected(result.time)}   bound {_time(result.bounds.time)} by "
        f"{result.bounds.name} ({share:.0%} of the time)\n" + "\n".join(wrapped)
    )
    if result.folded is not None:
        text.append(f"\n{result.folded}")
    return text


def _metrics(result: Result) -> Table:
    table = _table("metrics", "", "value", "what it is")
    values = result.metrics()
    for name, value, sentence in result.lines():
        if name not in _LEFT_OUT:
            size = values[name]
            table.add_row(name, _size(size) if METRICS[name].unit == "B" and isinstance(size, int) else value, sentence)
    return table


def _levels(point: Point, result: Result) -> Table:
    """Traffic and hit rate of each level, from the core outward; what else a level counts stands in the last column."""
    table = _table("levels", "", "hit rate", "hits", "misses", "read", "written", "more")
    for level in _names(result, 2):
        counts = {
            key.split(".")[1]: count
            for key, count in result.counters.items()
            if key.startswith(f"{level}.") and key.count(".") == 1
        }
        hits, misses = counts.pop("hits", None), counts.pop("misses", None)
        read, written = counts.pop("read_bytes", None), counts.pop("write_bytes", None)
        more = ", ".join(
            f"{name} {_size(count) if name.endswith('bytes') else f'{count:,}'}"
            for name, count in counts.items()
            if count
        )
        table.add_row(level, _rate(hits, misses), _count(hits), _count(misses), _size(read), _size(written), more)
    return table


def _tensors(point: Point, result: Result) -> Table:
    """The same by tensor."""
    table = _table("tensors", "", "tensor", "hit rate", "hits", "misses", "read", "written")
    for level in _names(result, 3):
        found: dict[str, dict[str, int]] = {}
        for key, count in result.counters.items():
            parts = key.split(".")
            if parts[0] == level and len(parts) == 3:
                found.setdefault(parts[1], {})[parts[2]] = count
        for place, (tensor, counts) in enumerate(found.items()):
            hits, misses = counts.get("hits"), counts.get("misses")
            table.add_row(
                level if place == 0 else "",
                tensor,
                _rate(hits, misses),
                _count(hits),
                _count(misses),
                _size(counts.get("read_bytes")),
                _size(counts.get("write_bytes")),
            )
    return table


def _shares(title: str, times: Sequence[tuple[str, int]], whole: int) -> Table:
    """Times with their shares of the whole, as bars."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, show_header=False)
    for name, time in times:
        share = time / whole
        percent = Text(f"{share:.1%}", justify="right")
        table.add_row(name, Text(_time(time), justify="right"), percent, Bar(1.0, 0.0, share, width=30))
    return table


def _names(result: Result, parts: int) -> list[str]:
    """Levels that have counters with that many parts in their names."""
    return list(dict.fromkeys(key.split(".")[0] for key in result.counters if key.count(".") == parts - 1))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(
            column,
            justify="left" if column in ("", "tensor", "more", "what it is") else "right",
            no_wrap=column not in ("more", "what it is"),
        )
    return table


def _rate(hits: int | None, misses: int | None) -> str:
    return f"{hits / (hits + misses):.1%}" if hits is not None and misses is not None and hits + misses else "–"


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _size(value: int | None) -> str:
    """Bytes with four digits, always in binary units, so that a column can be compared."""
    if value is None:
        return "–"
    power = min(max(value.bit_length() - 1, 0) // 10, 4)
    return f"{value / 2 ** (10 * power):.4g} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


def _time(picoseconds: int) -> str:
    return format_duration(float(f"{picoseconds:.4g}"))
