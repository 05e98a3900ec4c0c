"""Miss ratios of reads by tensor, at capacities around that of a chip's last cache."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from memgrain.errors import MemgrainError
from memgrain.runs.task import Point, Task
from memgrain.sim import AXES, MOST_WAYS, Axis, CacheShape, Curve, miss_ratio_curve

if TYPE_CHECKING:
    import pandas as pd

WAYS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Numbers of ways in the table, in addition to the chip's own."""
BELOW, ABOVE = 6, 5
"""Halvings and doublings of the chip's capacity in the table."""
DRAWN = 160
"""Number of capacities along a line of the figure."""
ALL = "all"
"""Name of the line for all tensors together."""


@dataclass(frozen=True, eq=False)
class MissRatios:
    """The miss-ratio curve of a workload on a chip."""

    point: Point
    """The chip and the workload."""
    curve: Curve
    """The counts."""

    @property
    def title(self) -> str:
        """Workload, overrides and chip as a title."""
        settings = "".join(f" {key}={value}" for key, value in self.point.overrides.items())
        return f"{self.point.workload.name}{settings} on {self.point.chip.title}"

    @property
    def names(self) -> list[str]:
        """The tensors that are read, and ALL."""
        read = [name for name, reads in zip(self.curve.tensors, self.curve.accesses, strict=True) if reads]
        return [*read, ALL]

    def capacities(self) -> list[int]:
        """Capacities of the table in bytes: the chip's own and some around it; without a cache, up to where nothing
        changes."""
        curve = self.curve
        if curve.axis == "ways":
            own = curve.own // curve.step if curve.own else WAYS[0]
            return [curve.step * ways for ways in sorted({*WAYS, own})]
        if curve.own:
            found = {curve.own * 2**power // 2**BELOW for power in range(BELOW + ABOVE + 1)}
        else:
            top = 1 << (max(curve.largest, curve.step << (BELOW + ABOVE)) - 1).bit_length()
            found = {top >> power for power in range(BELOW + ABOVE + 1)}
        return sorted(capacity for capacity in found if capacity >= curve.step)

    def drawn(self) -> list[int]:
        """Capacities of the figure, from the first to the last of the table."""
        table, step = self.capacities(), self.curve.step
        if self.curve.axis == "ways":
            return [step * ways for ways in range(1, MOST_WAYS + 1)]
        between = np.geomspace(table[0], table[-1], DRAWN) // step * step
        return sorted({*table, *between.astype(np.int64).tolist()})

    def ratios(self, capacities: Sequence[int]) -> NDArray[np.float64]:
        """Miss ratios of `names`: [name, capacity]."""
        return self.curve.ratios(capacities)[self._read()]

    def errors(self, capacities: Sequence[int]) -> NDArray[np.float64]:
        """Standard errors of the miss ratios: [name, capacity]."""
        return self.curve.errors(capacities)[self._read()]

    def simulated(self) -> float:
        """Miss ratio of all reads in the simulation; NaN without a cache."""
        return float(self.curve.simulated_ratios()[-1])

    def rows(self) -> list[dict[str, Any]]:
        """The table: one row per capacity, with the miss ratios of each tensor and of all, and of a sampled curve their
        standard errors; None where the sample is too small."""
        capacities, curve = self.capacities(), self.curve
        columns = zip(self.ratios(capacities).T, self.errors(capacities).T, strict=True)
        found: list[dict[str, Any]] = []
        for capacity, (ratios, errors) in zip(capacities, columns, strict=True):
            row: dict[str, Any] = {"capacity": capacity, "own": capacity == curve.own}
            if curve.axis == "ways":
                row["ways"] = capacity // curve.step
            row["miss_ratio"] = {name: _known(ratio) for name, ratio in zip(self.names, ratios, strict=True)}
            if curve.groups:
                row["error"] = {name: _known(error) for name, error in zip(self.names, errors, strict=True)}
            found.append(row)
        return found

    def frame(self) -> pd.DataFrame:
        """The table as a tidy frame: a row for each capacity and tensor, with capacity_bytes, ways (along ways), own
        (whether it is the chip's own), tensor, miss_ratio, and error where lines are sampled."""
        import pandas as pd

        rows = []
        for row in self.rows():
            for tensor, ratio in row["miss_ratio"].items():
                cells = {"capacity_bytes": row["capacity"], "tensor": tensor, "miss_ratio": ratio, "own": row["own"]}
                more = {"ways": row["ways"]} if "ways" in row else {}
                rows.append(cells | more | ({"error": row["error"][tensor]} if "error" in row else {}))
        return pd.DataFrame(rows)

    def _read(self) -> NDArray[np.bool_]:
        return np.append(self.curve.accesses > 0, True)


def miss_ratios(
    chip: str,
    workload: str | Path | Mapping[str, Any],
    axis: Axis = "capacity",
    rate: float | None = None,
    sets: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {}),
    hypothetical: tuple[int | None, int | None] = (None, None),
) -> MissRatios:
    """Simulate `workload` on `chip`, with the overrides `sets` of either, and count the requests to the last cache.

    `hypothetical` are the line size in bytes and the number of sets of an imaginary cache, for a chip without one.
    Raises MemgrainError if these do not fit, and the errors of Task and `sim.miss_ratio_curve`.
    """
    if axis not in AXES:
        raise MemgrainError(f"axis '{axis}' is none of {', '.join(AXES)}; choose one of them")
    point = Task(chip, sets[0], workload, sets[1]).resolve()
    line, groups = hypothetical
    cache, shape = point.chip.cache, None
    if cache is not None and (line, groups) != (None, None):
        raise MemgrainError(
            f"{point.chip.name} has a cache, {cache.name}; override {cache.name}.line and "
            f"{cache.name}.capacity in place of line and sets"
        )
    if cache is None:
        if line is None or line & (line - 1) or (axis == "ways" and (groups is None or groups < 1)):
            raise MemgrainError(
                f"{point.chip.name} has no cache; give the line of a hypothetical one in a power of two of bytes, "
                "line '128 B', and along ways its sets, 4096 for example"
            )
        shape = CacheShape(line, line, groups or 1)
    return MissRatios(point, miss_ratio_curve(point.chip, point.kernels(), axis, rate, shape))


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
