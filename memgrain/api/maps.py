"""Maps of where bytes and time go, as frames; the command line draws them too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from memgrain.analysis.over_fetch import (
    DTYPES,
    GRANULES,
    HEAD_DIMS,
    LAYOUTS,
    LayoutOptions,
    MapRow,
    on_chip,
    over_fetch_map,
    rows_of,
)
from memgrain.analysis.roofline import Roofline
from memgrain.analysis.roofline import roofline as below_roofs
from memgrain.api.points import ChipLike, WorkloadLike, name_of, sweep
from memgrain.errors import MemgrainError
from memgrain.hwmodels import load_chip
from memgrain.runs.options import RunOptions
from memgrain.runs.overrides import CHIP, split
from memgrain.runs.pivot import HEAD_DIM
from memgrain.runs.task import Point, Task, as_source, attention_of
from memgrain.sim import Result

RATIO = "selection.ratio"
"""Key of the share of tokens that a selection reads."""
ALL = "all"
"""Name of the row of all tensors together."""
DIMS = (64, 80, 96, 112, 128, 160, 192, 256)
"""Head dimensions of the map of times."""
RATIOS = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Shares of the tokens of the map of times."""


def over_fetch(
    chip: str | Path | None = None,
    *,
    head_dims: Sequence[int] = HEAD_DIMS,
    dtypes: Sequence[str] = DTYPES,
    sizes: Sequence[int] = (),
    granules: Sequence[int] = GRANULES,
    layouts: Sequence[str] = tuple(LAYOUTS),
    page: int = 16,
    tile: int = 64,
    stride: int | None = None,
    ratio: float = 0.05,
    set: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Bytes fetched for each byte that is needed, by layout, row and granule; with a `chip`, also as simulated at its
    own granule (`simulated`).

    Rows are of `head_dims` in `dtypes`, or of `sizes` in bytes. `page` and `tile` are tokens, `stride` the bytes
    between padded rows, `ratio` the share of tokens read in layout random. Columns: layout, label, bytes, dtype,
    granule, ratio, simulated.
    """
    terms = LayoutOptions(page, tile, stride, ratio)
    rows = [MapRow(f"{size} B", size, "") for size in sizes] or rows_of(head_dims, dtypes)
    cells = over_fetch_map(rows, granules, layouts, terms)
    if chip is not None:
        cells += on_chip(load_chip(chip, set or {}), rows, layouts, terms)
    found = [
        {"layout": cell.layout, **asdict(cell.row)}
        | {name: getattr(cell, name) for name in ("granule", "ratio", "simulated")}
        for cell in cells
    ]
    return pd.DataFrame(found).astype({"ratio": float, "simulated": float})


def latency(
    chip: ChipLike,
    workload: WorkloadLike,
    *,
    head_dims: Sequence[int] = DIMS,
    ratios: Sequence[float] = RATIOS,
    set: Mapping[str, Any] | None = None,
    options: RunOptions = RunOptions(),
) -> pd.DataFrame:
    """Rows of a workload with a selection over head dimension and share of the tokens, as `sweep` gives them; kept in
    `options.out`, or out/map_latency. Raises MemgrainError if the values span no area or no tokens are selected."""
    return sweep(latency_grid(chip, as_source(workload), head_dims, ratios, set or {}), options=options)


def latency_grid(
    chip: ChipLike,
    workload: str | Path | Mapping[str, Any],
    head_dims: Sequence[int],
    ratios: Sequence[float],
    overrides: Mapping[str, Any],
) -> dict[str, Any]:
    """The sweep behind `latency`; raises MemgrainError if the values span no area or the workload selects nothing."""
    dims, shares = sorted({*head_dims}), sorted({*ratios})
    for name, values in (("head dimension", dims), ("ratio", shares)):
        if len(values) < 2:
            raise MemgrainError(f"{name} {values[0]:g} alone spans no area; give two values at least")
        if values[0] <= 0:
            raise MemgrainError(f"{name} {values[0]:g} must be above 0; raise it")
    chip_set, workload_set = split(overrides, chip)
    attended = attention_of(Task(name_of(chip), chip_set, workload, workload_set).resolve().workload)
    if attended is None or attended.selection is None:
        raise MemgrainError(
            f"{workload} selects no tokens, so there is no share of them to vary; choose a workload with a selection, "
            "such as decode_topk"
        )
    return {
        "name": "map_latency",
        "chips": [name_of(chip)],
        "workload": str(workload) if isinstance(workload, Path) else workload,
        "set": {**workload_set, **{CHIP + key: value for key, value in chip_set.items()}},
        "grid": {HEAD_DIM: dims, RATIO: shares},
    }


def roofline(
    chip: ChipLike, workload: WorkloadLike, *, set: Mapping[str, Any] | None = None, before: str = "cold"
) -> Roofline:
    """The roofs of a chip's levels (bytes per second) and units (operations per second), and one simulated workload
    below them. Raises the errors of `run`."""
    return below_roofs(Task.of(chip, workload, set, before).resolve())


@dataclass(frozen=True)
class SimulatedWorkload:
    """One simulated workload of `stalls`."""

    point: Point
    """The point."""
    varied: dict[str, Any]
    """What was set for this one alone."""
    result: Result
    """What was simulated."""


def stall_bars(
    chip: ChipLike,
    workloads: Sequence[str],
    over: tuple[str, Sequence[Any]] | None,
    overrides: Mapping[str, Any],
    before: str,
) -> list[SimulatedWorkload]:
    """Simulate each workload, at each value of the key `over` if there is one."""
    values = [{}] if over is None else [{over[0]: value} for value in over[1]]
    found = []
    for workload in workloads:
        for varied in values:
            point = Task.of(chip, workload, {**overrides, **varied}, before).resolve()
            found.append(SimulatedWorkload(point, varied, point.simulate()))
    return found


def stalls(
    chip: ChipLike,
    workloads: str | Sequence[str],
    *,
    over: tuple[str, Sequence[Any]] | None = None,
    set: Mapping[str, Any] | None = None,
    before: str = "cold",
) -> pd.DataFrame:
    """Where the time goes: a row for each workload, or for each value of a key (`over=("shape.head_dim", [64, 96])`),
    with time_us and a column PART_us for every part of the time. Raises the errors of `run`."""
    names = [workloads] if isinstance(workloads, str) else workloads
    rows = [
        {"chip": bar.result.chip, "workload": bar.point.workload.name, **bar.varied, "time_us": bar.result.time / 1e6}
        | {f"{part}_us": time / 1e6 for part, time in bar.result.breakdown.items()}
        for bar in stall_bars(chip, names, over, set or {}, before)
    ]
    return pd.DataFrame(rows)


def tensors(
    chip: ChipLike, workload: WorkloadLike, *, set: Mapping[str, Any] | None = None, before: str = "cold"
) -> pd.DataFrame:
    """Which tensors the counts of each level belong to: a row for each level, count and tensor, with value and unit
    (lines where it is empty, B for bytes). Raises the errors of `run`."""
    from memgrain.plots.tensors import attribution, evictors

    point = Task.of(chip, workload, set, before).resolve()
    result = point.simulate()
    rows = [
        {"level": count.level, "count": count.name, "tensor": tensor, "value": value, "unit": count.unit}
        for count in [*attribution(point, result), *evictors(point, result)]
        for tensor, value in count.by.items()
    ]
    return pd.DataFrame(rows, columns=["level", "count", "tensor", "value", "unit"])


def read_causes(chip: ChipLike, workload: WorkloadLike, *, set: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Why the last cache read what it did, from cold caches: a row for each tensor and for all, with the bytes read and
    those that are needed, unasked (fetched with a granule of which only a part was requested), or read again for
    capacity, copies or conflicts. Raises SimulationError for a chip without such a cache, and the errors of `run`."""
    why = causes_by_tensor(Task.of(chip, workload, set).resolve())
    return pd.DataFrame([{"tensor": tensor, **parts} for tensor, parts in why.items()])


def causes_by_tensor(point: Point) -> dict[str, dict[str, int]]:
    """Bytes that the last cache read, by tensor and then of all, by cause. Raises SimulationError if there is none."""
    from memgrain.sim import read_causes as causes

    found = causes(point.chip, point.kernels())
    parts = {"read": found.read, "needed": found.first - found.unasked, "unasked": found.unasked}
    parts |= {"capacity": found.capacity, "copies": found.copies, "conflicts": found.conflicts}
    why = {
        tensor: {name: int(part[i]) for name, part in parts.items()}
        for i, tensor in enumerate(found.tensors)
        if found.read[i]
    }
    return why | {ALL: {name: int(part.sum()) for name, part in parts.items()}}
