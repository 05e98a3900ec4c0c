"""A task: one chip, one workload and the state before it; what a row of a sweep is the answer to."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memgrain.errors import CodesignError
from memgrain.hwmodels import Chip, load_chip
from memgrain.hwmodels.main_memory import Dram
from memgrain.hwmodels.spec import Cache
from memgrain.hwmodels.units import format_bytes
from memgrain.runs.overrides import columns
from memgrain.runs.rows import Row
from memgrain.runs.shipped import find_workload, suggest
from memgrain.runs.validated import Subject, Trust, subject_of, trust_in
from memgrain.sim import BEFORE, MODEL_VERSION, Before, Result, simulate, simulate_sequence
from memgrain.workloads import (
    KINDS,
    AnyWorkload,
    Budget,
    Indexed,
    Layers,
    Linear,
    Pace,
    RecordedSelection,
    Trace,
    Workload,
    attention,
    kernel_of,
    known_keys,
    load_any,
    parse_any,
)

PROSE = {"title": True, "vendor": True, "note": True, "interconnect": True}
"""What a chip file tells people, and its links to other chips: they change no result of one."""
GENERIC = "generic tiles"
"""In place of a kernel's name, where tiles are chosen without one."""
CROSSINGS = 4
"""Ways through the first shared level on which the scores of a tile go to the vector unit and back: two writes, two
reads."""
Files = dict[str, Any]
"""Chips and workloads already read, by name and overrides, so that a sweep reads each once."""


@dataclass(frozen=True)
class Point:
    """A task with its files read: all that a worker needs to know."""

    chip: Chip
    """The validated chip, overrides applied."""
    workload: AnyWorkload
    """The validated workload, overrides applied."""
    before: Before
    """State of the caches before the run: cold, dirty or warm."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """What was set, by column name; for the row only, no part of the identity."""
    tune: tuple[str, ...] = ()
    """Keys of the tiling of which the best values are found, see `memgrain.runs.tune`; none: the tiling as it
    stands."""

    def id(self) -> str:
        """SHA-256 of the resolved inputs and the model's version: equal inputs, however written, have equal ids."""
        asked = self.workload.model_dump(mode="json")
        attended, inner = attention_of(self.workload), asked.get("attention", asked)
        if attended is not None and isinstance(attended.selection, RecordedSelection):
            inner["selection"]["path"] = _digest(attended.selection.path)
        inputs: dict[str, Any] = {
            "chip": self.chip.model_dump(mode="json", exclude=PROSE),
            "workload": asked,
            "before": self.before,
            "model_version": MODEL_VERSION,
        }
        if self.tune:
            inputs["tune"] = list(self.tune)
        text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def kernels(self) -> tuple[Trace, ...]:
        """What the workload does on a machine with this chip's cores and scratchpad, kernel by kernel."""
        if isinstance(self.workload, Workload):
            return (attention(self.workload, budget(self.chip)),)
        if isinstance(self.workload, Indexed):
            return self.workload.kernels(budget(self.chip))
        if isinstance(self.workload, Layers):
            return self.workload.traces(budget(self.chip))
        if isinstance(self.workload, Linear):
            return (self.workload.trace(budget(self.chip)),)
        return (self.workload.trace(),)

    def simulate(self, intervals: bool = False) -> Result:
        """The result; `intervals` records what each program did when. Raises WorkloadError or SimulationError."""
        if self.tune:
            from memgrain.runs.tune import tune

            found = tune(self)
            return found.point.simulate(intervals) if intervals else found.result
        kernels = self.kernels()
        if len(kernels) == 1:
            return simulate(self.chip, kernels[0], self.before, intervals)
        return simulate_sequence(self.chip, kernels, self.before, intervals, self.workload.name)

    def subject(self) -> Subject:
        """What validation distinguishes of the point."""
        asked = self.workload if isinstance(self.workload, Workload) else None
        kernel = kernel_of(asked, budget(self.chip)) if asked else None
        return subject_of(self.chip, self.workload, self.before, kernel)

    def trust(self) -> Trust:
        """What validation says about the time of the point."""
        return trust_in(self.subject())

    def run(self) -> Row:
        """One row: identity, inputs, metrics, counters, breakdown, and what was tuned."""
        if not self.tune:
            return self.row(self.simulate())
        from memgrain.runs.tune import tune

        found = tune(self)
        return {**self.row(found.result), **found.columns()}

    def kernel(self) -> str:
        """The attention kernel that runs, in a few words; empty where the workload is of another kind."""
        asked, places = attention_of(self.workload), budget(self.chip)
        if asked is None:
            return ""
        kernel = kernel_of(asked, places)
        if kernel is None and asked.kernel is not None:
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
            **self.trust().columns(),
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
    """A question as it is written down: names and overrides."""

    chip: str
    """Name of a shipped chip, or a YAML file."""
    chip_set: Mapping[str, Any]
    """Dotted overrides of the chip."""
    workload: str | Path | Mapping[str, Any]
    """Name of a shipped workload, a YAML file, or the mapping itself."""
    workload_set: Mapping[str, Any]
    """Dotted overrides of the workload."""
    before: str = "cold"
    """State of the caches before the run."""
    tune: tuple[str, ...] = ()
    """Keys of the tiling of which the best values are found; see `memgrain.runs.tune.keys_of`."""

    def resolve(self, files: Files | None = None) -> Point:
        """The task with its files read and checked against each other.

        Raises HardwareError, WorkloadError, or CodesignError where the two do not fit.
        """
        before = next((known for known in BEFORE if known == self.before), None)
        if before is None:
            raise CodesignError(f"before '{self.before}' is none of {', '.join(BEFORE)}; choose one of them")
        chip = _once(files, ("chip", self.chip, self.chip_set), lambda: load_chip(self.chip, self.chip_set))
        workload = _once(
            files,
            ("workload", self.workload, self.workload_set),
            lambda: _load_workload(self.workload, self.workload_set),
        )
        _check_fit(chip, workload)
        return Point(chip, workload, before, columns(self.chip_set, self.workload_set), self.tune)

    def id(self) -> str:
        """Identity of the resolved task; see `Point.id`."""
        return self.resolve().id()

    def run(self) -> Row:
        """The row that answers the task."""
        return self.resolve().run()


def attention_of(workload: AnyWorkload) -> Workload | None:
    """The attention call of a workload; None if it is of another kind."""
    found = workload.attention if isinstance(workload, Indexed) else workload
    return found if isinstance(found, Workload) else None


def budget(chip: Chip) -> Budget:
    """What a kernel may use of a chip: cores, bytes of scratchpad, programs on a core."""
    pad = chip.scratchpad
    if pad is None:
        raise CodesignError(
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
    """How fast a chip feeds the programs on its cores."""
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
        turn=CROSSINGS * first.latency if apart and first else 0,
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


def _load_workload(source: str | Path | Mapping[str, Any], overrides: Mapping[str, Any]) -> AnyWorkload:
    if not isinstance(source, Mapping):
        return load_any(find_workload(source), overrides)
    tree: dict[str, Any] = copy.deepcopy(dict(source))
    keys = known_keys(KINDS.get(str(tree.get("kind")), Workload))
    for key, value in overrides.items():
        if key not in keys:
            raise CodesignError(f"a workload has no '{key}'{suggest(key, keys)}; correct its spelling")
        *path, last = key.split(".")
        node: Any = tree
        for part in path:
            node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise CodesignError(f"cannot set '{key}': {'.'.join(path)} is {node!r}, not a mapping; write it as one")
        node[last] = value
    return parse_any(tree)


def _digest(path: str) -> str:
    """SHA-256 of a file's content."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise CodesignError(f"{path}: cannot be read ({error.strerror}); check selection.path") from None


def _check_fit(chip: Chip, workload: AnyWorkload) -> None:
    attended = attention_of(workload)
    if attended is None:
        return
    need, capacity = attended.kv_bytes, chip.dram.capacity
    if need > capacity:
        raise CodesignError(
            f"{workload.name}: K and V need {format_bytes(need)}, {chip.name}.{chip.dram.name} holds "
            f"{format_bytes(capacity)}; shorten shape.kv_len, lower shape.batch, or choose a larger chip"
        )
