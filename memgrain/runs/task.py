"""A task: one chip, one workload and the state of the caches before it; a row of a sweep is its result."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from memgrain.errors import MemgrainError
from memgrain.hwmodels import Chip, load_chip
from memgrain.hwmodels.main_memory import Dram
from memgrain.hwmodels.spec import Cache
from memgrain.inputs.quantities import format_bytes
from memgrain.runs.identity import chip_inputs, digest
from memgrain.runs.overrides import columns, split
from memgrain.runs.rows import Row
from memgrain.runs.shipped import find_workload
from memgrain.runs.validated import ErrorLabel, Subject, subject_of, trust_in
from memgrain.sim import BEFORE, Before, Result, simulate, simulate_sequence
from memgrain.workloads import (
    AnyWorkload,
    Budget,
    Gemm,
    Layers,
    Linear,
    Pace,
    RecordedSelection,
    SparseAttentionStep,
    Trace,
    Workload,
    attention,
    kernel_of,
    load_any,
    parse_any,
)

GENERIC = "generic tiles"
"""Stands for a kernel's name where tiles are chosen without a described kernel."""
CROSSINGS = 4
"""Transfers of a tile's scores through the first shared level, to the vector unit and back: two writes, two reads."""
Files = dict[str, Any]
"""Chips and workloads already read, by name and overrides, so that a sweep reads each once."""


@dataclass(frozen=True)
class Point:
    """A task with its files read: everything that a worker needs."""

    chip: Chip
    """The validated chip, overrides applied."""
    workload: AnyWorkload
    """The validated workload, overrides applied."""
    before: Before
    """State of the caches before the run: cold, dirty or warm."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Overrides by column name, for the row; not part of the identity."""
    tune: tuple[str, ...] = ()
    """Keys of the tiling whose best values are searched, see `memgrain.runs.tune`; empty: the tiling is not tuned."""

    def id(self) -> str:
        """SHA-256 of the resolved inputs and the model's version: equal inputs have equal ids."""
        workload = self.workload.model_dump(mode="json")
        attended, inner = attention_of(self.workload), workload.get("attention", workload)
        if attended is not None and isinstance(attended.selection, RecordedSelection):
            inner["selection"]["path"] = _digest(attended.selection.path)
        inputs: dict[str, Any] = {
            "chip": chip_inputs(self.chip, links=False),
            "workload": workload,
            "before": self.before,
        }
        if self.tune:
            inputs["tune"] = list(self.tune)
        return digest(inputs)

    def kernels(self) -> tuple[Trace, ...]:
        """The traces of the workload's kernels, cut for this chip's cores and scratchpads."""
        if isinstance(self.workload, Workload):
            return (attention(self.workload, budget(self.chip)),)
        if isinstance(self.workload, SparseAttentionStep):
            return self.workload.kernels(budget(self.chip))
        if isinstance(self.workload, Layers):
            return self.workload.traces(budget(self.chip))
        if isinstance(self.workload, Gemm):
            return self.workload.kernels()
        if isinstance(self.workload, Linear):
            return (self.workload.trace(budget(self.chip)),)
        return (self.workload.trace(),)

    def simulate(self, intervals: bool = False) -> Result:
        """Simulate; with `intervals`, repeats are not folded. Raises WorkloadError or SimulationError."""
        if self.tune:
            from memgrain.runs.tune import tune

            found = tune(self)
            return found.point.simulate(intervals) if intervals else found.result
        kernels = self.kernels()
        if len(kernels) == 1:
            return simulate(self.chip, kernels[0], self.before, intervals)
        return simulate_sequence(self.chip, kernels, self.before, intervals, self.workload.name)

    def subject(self) -> Subject:
        """The properties of the point that validation distinguishes."""
        call = self.workload if isinstance(self.workload, Workload) else None
        kernel = kernel_of(call, budget(self.chip)) if call else None
        return subject_of(self.chip, self.workload, self.before, kernel)

    def trust(self, time: int = 0) -> ErrorLabel:
        """The validation error of the point's time. With the predicted `time` in ps it includes the errors of short
        calls."""
        return trust_in(self.subject().in_time(time))

    def run(self) -> Row:
        """Simulate and return the row: identity, inputs, metrics, counters, breakdown, tuned values."""
        if not self.tune:
            return self.row(self.simulate())
        from memgrain.runs.tune import tune

        found = tune(self)
        return {**self.row(found.result), **found.columns()}

    def kernel(self) -> str:
        """The attention kernel that runs, in a few words; empty where the workload is of another kind."""
        call, places = attention_of(self.workload), budget(self.chip)
        if call is None:
            return ""
        kernel = kernel_of(call, places)
        if kernel is None and call.kernel is not None:
            return f"{GENERIC} (none is described for this call on {places.architecture or 'such a chip'})"
        if kernel is None:
            return GENERIC
        foreign = places.architecture not in kernel.architectures
        return kernel.name + (
            f" as if on {self.chip.name}: it is for {', '.join(kernel.architectures)}" if foreign else ""
        )

    def row(self, result: Result) -> Row:
        """The row of a result that this point gave."""
        numbers = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in result.row().items()
        }
        return {
            "id": self.id(),
            **numbers,
            **self.trust(result.time).columns(),
            "chip": self.chip.name,
            "chip_title": self.chip.title,
            "workload": self.workload.name,
            "before": self.before,
            **({"kernel": kernel} if (kernel := self.kernel()) else {}),
            "overrides": list(self.overrides),
            **self.overrides,
        }

    def __str__(self) -> str:
        settings = "".join(f" {key}={value}" for key, value in self.overrides.items())
        return f"{self.chip.name} {self.workload.name}{settings}"


@dataclass(frozen=True)
class Task:
    """A chip, a workload and overrides, by name."""

    chip: str | Chip
    """Name of a shipped chip, a YAML file, or a loaded chip, which has no ranges to draw from."""
    chip_set: Mapping[str, Any]
    """Dotted overrides of the chip."""
    workload: str | Path | Mapping[str, Any]
    """Name of a shipped workload, a YAML file, or the mapping itself."""
    workload_set: Mapping[str, Any]
    """Dotted overrides of the workload."""
    before: str = "cold"
    """State of the caches before the run."""
    tune: tuple[str, ...] = ()
    """Keys of the tiling whose best values are searched; see `memgrain.runs.tune.keys_of`."""

    @classmethod
    def of(
        cls,
        chip: str | Path | Chip,
        workload: str | Path | Mapping[str, Any] | AnyWorkload,
        overrides: Mapping[str, Any] | None = None,
        before: str = "cold",
        tune: Sequence[str] | str = (),
    ) -> Task:
        """The task of a chip and a workload with overrides of either; see `memgrain.runs.overrides.split`."""
        from memgrain.runs.tune import keys_of

        chip_set, workload_set = split(overrides or {}, chip)
        name = chip if isinstance(chip, Chip) else str(chip)
        return cls(name, chip_set, as_source(workload), workload_set, before, keys_of(tune) if tune else ())

    def resolve(self, files: Files | None = None) -> Point:
        """The task with its files read and checked against each other.

        Raises HardwareError, WorkloadError, or MemgrainError where the two do not fit.
        """
        before = next((known for known in BEFORE if known == self.before), None)
        if before is None:
            raise MemgrainError(f"before '{self.before}' is none of {', '.join(BEFORE)}; choose one of them")
        chip = _once(files, ("chip", self.chip, self.chip_set), lambda: load_chip(self.chip, self.chip_set))
        workload = _once(
            files,
            ("workload", self.workload, self.workload_set),
            lambda: read_workload(self.workload, self.workload_set),
        )
        _check_fit(chip, workload)
        return Point(chip, workload, before, columns(self.chip_set, self.workload_set), self.tune)

    def id(self) -> str:
        """Identity of the resolved task; see `Point.id`."""
        return self.resolve().id()

    def run(self) -> Row:
        """Simulate the task and return its row."""
        return self.resolve().run()


def attention_of(workload: AnyWorkload) -> Workload | None:
    """The attention call of a workload; None if it is of another kind."""
    found = workload.attention if isinstance(workload, SparseAttentionStep) else workload
    return found if isinstance(found, Workload) else None


def budget(chip: Chip) -> Budget:
    """The resources of a chip that a kernel may use: cores, bytes of scratchpad, programs on a core."""
    pad = chip.scratchpad
    if pad is None:
        raise MemgrainError(
            f"{chip.name}: no scratchpad to hold a program's tiles; give {chip.matmul_core.name}.near one"
        )
    core = chip.matmul_core
    return Budget(
        cores=core.count,
        scratchpad_bytes=pad.capacity,
        max_programs=core.max_programs or 1,
        multicast=core.multicast,
        request_bytes=pad.requests.largest if pad.requests else Budget.request_bytes,
        architecture=chip.architecture or "",
        pace=pace(chip),
    )


def pace(chip: Chip) -> Pace:
    """The rates and latencies of a chip that a launcher uses to choose tiles."""
    core, companion, pad = chip.matmul_core, chip.vector_core, chip.scratchpad
    assert core.matmul is not None
    assert companion.vector is not None
    first = next((level for level in chip.memory if isinstance(level, Cache)), None)
    apart = chip.exchange == "memory" and first is not None
    clock = companion.clock * companion.count / core.count
    shares = (
        level.bandwidth // core.cores_per_cluster
        for level in core.near
        if not isinstance(level, Dram) and level.scope == "cluster"
    )
    return Pace(
        memory=chip.dram.bandwidth,
        port=min([core.bandwidth, *shares]),
        latency=chip.dram.latency,
        in_flight=core.max_bytes_in_flight or 1,
        cached=chip.cache is not None,
        command=pad.dma_startup or 0 if pad else 0,
        command_rows=pad.dma_rows or Pace.command_rows if pad else Pace.command_rows,
        request=pad.requests.largest if pad and pad.requests else 0,
        exchange=CROSSINGS * first.latency if apart and first else 0,
        start=core.program_start or 0,
        dispatch=chip.dispatch or 0,
        barrier=chip.barrier or 0,
        macs={dtype: rate * core.clock for dtype, rate in core.matmul.macs_per_cycle.items()},
        exps=companion.vector.exps_per_cycle * clock,
        ops=companion.vector.ops_per_cycle * clock,
    )


def _once(files: Files | None, key: tuple[Any, ...], read: Any) -> Any:
    if files is None:
        return read()
    name = json.dumps(key, sort_keys=True, default=dict if isinstance(key[1], Mapping) else str)
    if name not in files:
        files[name] = read()
    return files[name]


def as_source(workload: str | Path | Mapping[str, Any] | AnyWorkload) -> str | Path | Mapping[str, Any]:
    """What a workload is read from: a loaded one is read again from its mapping, so that overrides apply to it."""
    return workload.model_dump(mode="json") if isinstance(workload, BaseModel) else workload


def read_workload(source: str | Path | Mapping[str, Any], overrides: Mapping[str, Any]) -> AnyWorkload:
    """The validated workload of a shipped name, a YAML file or a mapping, with dotted overrides."""
    if not isinstance(source, Mapping):
        return load_any(find_workload(source), overrides)
    return parse_any(source, overrides=overrides)


def _digest(path: str) -> str:
    """SHA-256 of a file's content."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise MemgrainError(f"{path}: cannot be read ({error.strerror}); check selection.path") from None


def _check_fit(chip: Chip, workload: AnyWorkload) -> None:
    attended = attention_of(workload)
    if attended is None:
        return
    need, capacity = attended.kv_bytes, chip.dram.capacity
    if need > capacity:
        raise MemgrainError(
            f"{workload.name}: K and V need {format_bytes(need)}, {chip.name}.{chip.dram.name} holds "
            f"{format_bytes(capacity)}; shorten shape.kv_len, lower shape.batch, or choose a larger chip"
        )
