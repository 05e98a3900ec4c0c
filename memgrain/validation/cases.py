"""From a measured row to a simulation (chip, kernel, workload, state of the caches) and its prediction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from memgrain import sim, workloads
from memgrain.errors import MemgrainError
from memgrain.hwmodels import Chip, chip_names, load_chip
from memgrain.runs.identity import chip_inputs
from memgrain.runs.rows import Row
from memgrain.runs.task import budget
from memgrain.runs.validated import Subject, subject_of
from memgrain.sim import MODEL_VERSION, simulate
from memgrain.validation.calls import AUTO, CALL, Gather, MeasuredCall, title
from memgrain.validation.module import Module
from memgrain.validation.product import Product
from memgrain.validation.records import Record
from memgrain.workloads import (
    Kernel,
    Launch,
    Trace,
    Workload,
    WorkloadError,
    after_writes,
    attention,
    find_kernel,
    load_kernel,
)

DEVICES = {
    "NVIDIA A100-SXM4-80GB": "a100_sxm",
    "NVIDIA B200": "b200",
    "NVIDIA H100 80GB HBM3": "h100_sxm",
    "NVIDIA H200": "h200_sxm",
}
"""Chips by the names that devices report."""
KERNELS = {
    "stream": "triton_gt_gather",
    "gather": "triton_gt_gather",
    "gather_step": "triton_gt_gather",
    "decode": "triton_gt_decode",
    "prefill": "triton_gt_prefill",
    "linear": AUTO,
    "module": AUTO,
}
"""Default kernel of a row, by family."""
State = Literal["cold", "cold_dirty", "warm", "prev_step"]
STATES: tuple[State, ...] = ("cold", "cold_dirty", "warm", "prev_step")
CACHES: dict[State, str] = {
    "cold": "cold",
    "cold_dirty": "dirty",
    "warm": "warm",
    "prev_step": "those of the step before",
}
"""Content of the caches in these states, as in `Subject.caches`."""
DIRTIED = 2
"""Bytes written before a run from dirty caches, in capacities of the last cache."""


class Unpredictable(MemgrainError):
    """The row cannot be predicted; other rows of its file may be."""


@dataclass(frozen=True)
class ValidationCase:
    """One row of measurements, ready to be predicted by a worker."""

    key: str
    """SHA-256 of everything that the prediction depends on, including the simulator's source."""
    number: str
    """Id of the row."""
    title: str
    """Short description of the row."""
    chip: Chip
    call: MeasuredCall
    state: State
    """State of the caches before the run; see STATES."""
    dirty: bool
    """Whether the time from dirty caches is also predicted."""
    earlier: MeasuredCall | None = None
    """The step before, if the state is prev_step."""
    useful_bytes: int = 0
    """Bytes of the roofline."""
    useful_flops: int = 0
    """Operations of the roofline."""
    kernel: Kernel | None = None
    """The attention kernel whose tiling is simulated; None: a generic tiling, or no attention."""
    other_kernels: float = 0
    """Other work in the measured time, in empty kernels; each costs as much as a further kernel of a sequence."""

    def id(self) -> str:
        """Id of the prediction."""
        return self.key

    def subject(self) -> Subject | None:
        """The properties of the prediction that validation distinguishes; None for gathers and modules, which match no
        result."""
        if isinstance(self.call, Product):
            return subject_of(self.chip, self.call.linear, CACHES[self.state])
        if isinstance(self.call, Workload):
            return subject_of(self.chip, self.call, CACHES[self.state], self.kernel)
        return None

    def __str__(self) -> str:
        return f"row {self.number} ({self.title})"

    def run(self) -> Row:
        """Run the prediction. Raises WorkloadError or SimulationError."""
        if isinstance(self.call, Product | Module):
            return self._sequence(self.call)
        trace = _trace(self.call, self.chip)
        primer = trace if self.state == "warm" else _trace(self.earlier, self.chip) if self.earlier else None
        if primer is not None:
            result = simulate(self.chip, trace, before=primer)
        else:
            result = simulate(self.chip, trace, before="dirty" if self.state == "cold_dirty" else "cold")
        others = round(self.other_kernels * (self.chip.barrier or 0))
        cache = result.cache
        lookups = [result.counters.get(f"{cache}.{name}") for name in ("sector_lookups", "sector_hits")]
        return {
            "id": self.key,
            "row": self.number,
            "chip": self.chip.name,
            "predicted_time_us": (result.time + others) / 1e6,
            "predicted_time_dirty_us": (
                (self._dirty(trace, primer, result.time) + others) / 1e6 if self.dirty else None
            ),
            "predicted_dram_read_bytes": result.counters[f"{result.dram}.read_bytes"],
            "predicted_l2_read_sectors_32b": lookups[0],
            "predicted_l2_read_hit_sectors_32b": lookups[1],
            "bottleneck": result.metrics()["bottleneck"],
            "roofline_time_us": self.roofline() * 1e6,
        }

    def _sequence(self, call: Product | Module) -> Row:
        """The prediction of a kernel sequence, for which no time from dirty caches was measured."""
        time, result, calls = call.simulate(self.chip)
        others = self.other_kernels * (self.chip.barrier or 0) / 1e12
        lookups = [result.counters.get(f"{result.cache}.{name}") for name in ("sector_lookups", "sector_hits")]
        return {
            "id": self.key,
            "row": self.number,
            "chip": self.chip.name,
            "predicted_time_us": (time + others) * 1e6,
            "predicted_time_dirty_us": None,
            "predicted_dram_read_bytes": result.counters[f"{result.dram}.read_bytes"] // calls,
            "predicted_l2_read_sectors_32b": lookups[0] and lookups[0] // calls,
            "predicted_l2_read_hit_sectors_32b": lookups[1] and lookups[1] // calls,
            "bottleneck": result.metrics()["bottleneck"],
            "roofline_time_us": self.roofline() * 1e6,
        }

    def roofline(self) -> float:
        """Roofline time in seconds: the maximum of useful bytes ÷ DRAM peak and useful operations ÷ peak of the matrix
        units."""
        core = self.chip.matmul_core
        dtype = self.call.dtypes.q if isinstance(self.call, Workload) else "bf16"
        dtype = self.call.linear.dtype if isinstance(self.call, Product) else dtype
        dtype = self.call.dtype if isinstance(self.call, Module) else dtype
        assert core.matmul is not None
        peak = 2 * core.matmul.macs_per_cycle[dtype] * core.clock * core.count
        return max(self.useful_bytes / self.chip.dram.bandwidth, self.useful_flops / peak)

    def _dirty(self, trace: Trace, primer: Trace | None, time: int) -> int:
        """The time in ps if the caches are filled with dirty lines first, and primed afterwards if the state requires
        it."""
        if self.state == "cold_dirty" or self.chip.cache is None:
            return time
        if primer is None:
            return simulate(self.chip, trace, before="dirty").time
        written = after_writes(primer, DIRTIED * self.chip.cache.capacity)
        return simulate(self.chip, trace, before=written).time


def _trace(call: MeasuredCall, chip: Chip) -> Trace:
    if isinstance(call, Product | Module):
        raise MemgrainError("a row of several kernels is not one trace; simulate it as a sequence")
    return call.trace() if isinstance(call, Gather) else attention(call, budget(chip))


@dataclass
class CaseMaker:
    """Creates cases from records; reads each chip and kernel once."""

    chip: str | None
    """Name or file of the chip of all rows; None: by the device column."""
    chip_set: Mapping[str, Any]
    """Dotted overrides of all chips."""
    dirty: bool
    """Whether times from dirty caches are also predicted."""
    kernel: str | None = None
    """The kernel of all rows; auto: a generic tiling; None: by the kernel column."""
    _chips: dict[str, Chip] = field(default_factory=dict)
    _kernels: dict[str, Kernel] = field(default_factory=dict)

    def make(self, record: Record) -> ValidationCase:
        """Create the case of a record.

        Raises Unpredictable (naming the row) if there is no such kernel or it cannot compute the call, and
        MemgrainError or HardwareError if the row or its chip is invalid.
        """
        chip = self._chip(record)
        family = record.text("family")
        try:
            kernel = self._kernel(self.kernel or record.text("kernel", KERNELS[family]), family)
            others = record.real("other_kernels") or 0
            launch = Launch.model_validate({name: record.maybe(name) or None for name in Launch.model_fields})
            call, earlier, work = CALL[family](record, kernel, launch, budget(chip))
        except WorkloadError as error:
            raise Unpredictable(str(record.error(str(error)))) from None
        state = next(s for s in STATES if s == record.one_of("l2_state", STATES, "cold"))
        if state == "prev_step" and earlier is None:
            raise record.error("l2_state is prev_step and step_overlap is empty; fill in the share of rows kept")
        useful = record.maybe("useful_bytes") or work[0], record.maybe("useful_flops") or work[1]
        earlier = earlier if state == "prev_step" else None
        inputs = {
            "chip": chip_inputs(chip, links=False),
            "asked": [_plain(call), _plain(earlier)],
            "state": state,
            "dirty": self.dirty,
            "useful": useful,
            "others": others,
            "model": [MODEL_VERSION, source_digest()],
        }
        key = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
        return ValidationCase(
            key, record.id, title(record), chip, call, state, self.dirty, earlier, *useful, kernel, others
        )

    def _chip(self, record: Record) -> Chip:
        name = self.chip
        if name is None:
            if "device" not in record.cells:
                raise MemgrainError(f"{record.file}: column 'device' is missing; add it, or name the chip")
            device = record.text("device")
            name = DEVICES.get(device, device)
            if name not in chip_names():
                raise record.error(
                    f"no chip is known for device '{device}'; known: {', '.join(DEVICES)}; or name the chip"
                )
        if name not in self._chips:
            self._chips[name] = load_chip(name, self.chip_set)
        return self._chips[name]

    def _kernel(self, name: str, family: str) -> Kernel | None:
        """The kernel with that name for rows of `family`; None for a generic tiling."""
        if name.lower() == AUTO:
            return None
        name = find_kernel(name, "decode" if family == "decode" else "prefill" if family == "prefill" else "gather")
        if name not in self._kernels:
            self._kernels[name] = load_kernel(name)
        return self._kernels[name]


def _plain(call: MeasuredCall | None) -> Any:
    if call is None:
        return None
    if isinstance(call, Product | Module):
        return call.plain()
    return call.model_dump(mode="json") if isinstance(call, Workload) else vars(call)


@lru_cache(maxsize=1)
def source_digest() -> str:
    """SHA-256 of the code that determines predictions, so that predictions of older code are never reused."""
    digest = hashlib.sha256()
    for file in (sim.__file__, workloads.__file__, __file__):
        for path in sorted(Path(file or "").parent.rglob("*")):
            if path.suffix in (".py", ".yaml"):
                digest.update(path.read_bytes())
    return digest.hexdigest()
