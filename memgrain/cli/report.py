"""One result on the terminal: time beside its bound, levels, tensors, breakdown, share of assumed numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap

from rich.bar import Bar
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from memgrain.cli.terminal import console
from memgrain.hwmodels import Provenance
from memgrain.inputs.quantities import format_duration
from memgrain.runs.provenance import assumed
from memgrain.runs.task import Point
from memgrain.sim import METRICS, Result
from memgrain.sim.breakdown.causes import Cause

WIDTH = 100
"""Characters of a line of a label."""
_LEFT_OUT = (
    *("time_us", "bound", "bound_time_us", "bound_share"),
    *("limit", "limit_time_us", "limit_share", "bottleneck", "advice", "bytes_in_flight"),
)
_AS_GOOD, _MUCH = 0.7, 0.05
"""Shares of the first cause's gain and of the time from which the second cause is shown too."""
_INNER = ("_ns", "_ps", "oversize_bytes", "flight_bytes")
"""Ends of counters that limits and causes are made of, and that say little by themselves."""
_SMALL, _REST = 0.001, "other"
"""Share of the time below which parts of it are joined, and under which name."""


def print_result(point: Point, result: Result, provenance: Mapping[str, Provenance]) -> None:
    """Print a result: time, bound, levels, tensors, breakdown."""
    screen = console()
    kernels = [(kernel.workload, kernel.time) for kernel in result.kernels]
    parts: list[RenderableType] = [
        _heading(point, result),
        _metrics(result),
        _levels(result),
        _tensors(result),
        _shares("where the time went", _parts(result), result.time),
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
    known = point.trust(result.time)
    first, second = known.lines
    wrapped = [
        *wrap(first, WIDTH, subsequent_indent="  "),
        *wrap(second, WIDTH, initial_indent="  ", subsequent_indent="  "),
    ]
    text.append(
        f"\ntime {_time(result.time)}{known.expected(result.time)}\nbound {_time(result.bounds.time)} by "
        f"{result.bounds.name} ({share:.0%} of the time)   {_limit(result)}\n" + "\n".join(wrapped)
    )
    if kernel := point.kernel():
        text.append(f"\nkernel: {kernel}")
    text.append(f"\n{causes_text(result)}")
    return text


def _limit(result: Result) -> str:
    """The limit of this design beside the bound of any design."""
    name = max(result.limits, key=lambda name: result.limits[name])
    return f"limit {_time(result.limits[name])} by {name} ({result.limits[name] / result.time:.0%})"


def causes_text(result: Result) -> str:
    """The cause with the largest gain, what it comes from and what to change; the next one too if it is about as
    large."""
    first, *others = result.causes.items()
    least = max(_AS_GOOD * first[1].gain, _MUCH * result.time)
    shown = [first, *(item for item in others[:1] if item[1].gain >= least)]
    return "\n".join(f"{name}, {_share(result, name, cause)}: {cause}" for name, cause in shown)


def _share(result: Result, name: str, cause: Cause) -> str:
    """Share of the time that a cause takes, or for which its resource is busy where that is more."""
    busy = result.limits.get(name, 0) if name != "launch" else 0
    return f"{max(busy, cause.time) / result.time:.0%} {'busy' if busy > cause.time else 'of the time'}"


def _parts(result: Result) -> list[tuple[str, int]]:
    """Parts of the time from the largest to the smallest; small parts are joined."""
    parts = sorted(result.breakdown.items(), key=lambda part: -part[1])
    rest = sum(time for _, time in parts if time < _SMALL * result.time)
    found = [(name, time) for name, time in parts if time >= _SMALL * result.time]
    return [*found, *([(_REST, rest)] if rest else [])]


def _metrics(result: Result) -> Table:
    table = _table("metrics", "", "value", "what it is")
    values = result.metrics()
    for name, value, sentence in result.lines():
        if name not in _LEFT_OUT:
            size = values[name]
            table.add_row(name, _size(size) if METRICS[name].unit == "B" and isinstance(size, int) else value, sentence)
    return table


def _levels(result: Result) -> Table:
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
            if count and not name.endswith(_INNER)
        )
        table.add_row(level, _rate(hits, misses), _count(hits), _count(misses), _size(read), _size(written), more)
    return table


def _tensors(result: Result) -> Table:
    """The same by tensor."""
    table = _table("tensors", "", "tensor", "hit rate", "hits", "misses", "read", "written")
    for level in _names(result, 3):
        found: dict[str, dict[str, int]] = {}
        for key, count in result.counters.items():
            parts = key.split(".")
            if parts[0] == level and len(parts) == 3:
                found.setdefault(parts[1], {})[parts[2]] = count
        moved = {tensor: counts for tensor, counts in found.items() if "commands" not in counts}
        for place, (tensor, counts) in enumerate(moved.items()):
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
