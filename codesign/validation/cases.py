"""From a measured row to what is simulated: chip, kernel, workload, state of the caches; and the prediction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import sim
import workloads
from codesign.errors import CodesignError
from codesign.labels import value_text
from codesign.rows import Row
from codesign.task import budget
from codesign.validation.records import Record
from hwmodels import Chip, chip_names, load_chip
from sim import MODEL_VERSION, simulate
from workloads import (
    Budget,
    Kernel,
    Launch,
    Trace,
    Workload,
    WorkloadError,
    after_writes,
    attention,
    element_bytes,
    find_kernel,
    gather,
    load_kernel,
    parse_workload,
)

DEVICES = {
    "NVIDIA A100-SXM4-80GB": "a100_sxm",
    "NVIDIA B200": "b200",
    "NVIDIA H100 80GB HBM3": "h100_sxm",
    "NVIDIA H200": "h200_sxm",
}
"""Chips by the names under which devices report themselves."""
KERNELS = {
    "stream": "triton_gt_gather",
    "gather": "triton_gt_gather",
    "gather_step": "triton_gt_gather",
    "decode": "triton_gt_decode",
    "prefill": "triton_gt_prefill",
}
"""The kernel of a row that names none, by family."""
AUTO = "auto"
"""Names, in the column `kernel`, no kernel: tiles are chosen as for a workload that says nothing of them."""
State = Literal["cold", "cold_dirty", "warm", "prev_step"]
STATES: tuple[State, ...] = ("cold", "cold_dirty", "warm", "prev_step")
SEED = 1
"""Of the rows and tokens that a row of measurements says were chosen at random."""
DIRTIED = 2
"""Written before a run from dirty caches, in capacities of the last cache."""


class Unpredictable(CodesignError):
    """A row that cannot be predicted, as other rows of its file may be."""


@dataclass(frozen=True)
class Gather:
    """A gather as the measured kernel does it."""

    rows: int
    row_bytes: int
    row_stride: int
    offset: int
    pool_rows: int
    order: Literal["random", "sorted", "sequential"]
    block_n: int
    resident: int | None
    """Programs on a core at once; None leaves it to the chip."""
    program_bytes: int | None
    """Scratchpad of a program; None: its rows."""
    once_cycles: tuple[int, int]
    """What the code of a program takes; see `workloads.kernel.Code`."""
    rounds: tuple[int, int]
    """In how many parts a program loads its rows; see there."""
    step: int = 0
    overlap: float = 0.0

    def trace(self) -> Trace:
        """The trace, with the places that the kernel takes."""
        found = gather(
            self.rows,
            self.row_bytes,
            self.row_stride,
            self.offset,
            self.pool_rows,
            self.order,
            self.block_n,
            SEED,
            step=self.step,
            overlap=self.overlap,
            rounds=self.rounds,
        )
        found = replace(found, once_cycles=self.once_cycles)
        if self.program_bytes is None:
            return found
        return replace(found, scratchpad_bytes=self.program_bytes, resident=self.resident)


Asked = Gather | Workload


@dataclass(frozen=True)
class Case:
    """One row of measurements, ready to be predicted: what a worker needs to know."""

    key: str
    """SHA-256 of all that a prediction depends on, the simulator's source included."""
    number: str
    """The row's own id."""
    title: str
    """The row in a few words."""
    chip: Chip
    asked: Asked
    state: State
    """What happened before: see STATES."""
    dirty: bool
    """Whether the time from dirty caches is predicted too."""
    earlier: Asked | None = None
    """The step before, where the state is prev_step."""
    useful_bytes: int = 0
    """Bytes that the roofline moves."""
    useful_flops: int = 0
    """Operations that the roofline executes."""
    other_kernels: int = 0
    """Kernels that were measured along with this one; each is taken for one that does nothing."""

    def id(self) -> str:
        """Identity of the prediction."""
        return self.key

    def __str__(self) -> str:
        return f"row {self.number} ({self.title})"

    def run(self) -> Row:
        """The prediction; raises WorkloadError or SimulationError."""
        trace = _trace(self.asked, self.chip)
        primer = trace if self.state == "warm" else _trace(self.earlier, self.chip) if self.earlier else None
        if primer is not None:
            result = simulate(self.chip, trace, before=primer)
        else:
            result = simulate(self.chip, trace, before="dirty" if self.state == "cold_dirty" else "cold")
        others = self.other_kernels * self.chip.launch_overhead
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

    def roofline(self) -> float:
        """Seconds: useful bytes over the DRAM's peak or useful operations over the matrix units', whichever is more."""
        core = self.chip.matmul_core
        dtype = self.asked.dtypes.q if isinstance(self.asked, Workload) else "bf16"
        assert core.matmul is not None
        peak = 2 * core.matmul.macs_per_cycle[dtype] * core.clock * core.count
        return max(self.useful_bytes / self.chip.dram.bandwidth, self.useful_flops / peak)

    def _dirty(self, trace: Trace, primer: Trace | None, time: int) -> int:
        """The time, in ps, if caches were full of dirty lines first, and primed afterwards where the state says so."""
        if self.state == "cold_dirty" or self.chip.cache is None:
            return time
        if primer is None:
            return simulate(self.chip, trace, before="dirty").time
        written = after_writes(primer, DIRTIED * self.chip.cache.capacity)
        return simulate(self.chip, trace, before=written).time


def _trace(asked: Asked, chip: Chip) -> Trace:
    return asked.trace() if isinstance(asked, Gather) else attention(asked, budget(chip))


@dataclass
class Maker:
    """Makes cases of records; reads each chip and kernel once."""

    chip: str | None
    """Name or file of the chip, whatever the device column says; None leaves it to that column."""
    chip_set: Mapping[str, Any]
    """Dotted overrides of every chip."""
    dirty: bool
    """Whether times from dirty caches are predicted too."""
    _chips: dict[str, Chip] = field(default_factory=dict)
    _kernels: dict[str, Kernel] = field(default_factory=dict)

    def make(self, record: Record) -> Case:
        """The case of a record.

        Raises Unpredictable (naming the row) if there is no such kernel or it computes no such call, and CodesignError
        or HardwareError if the row or its chip is wrong.
        """
        chip = self._chip(record)
        family = record.text("family")
        try:
            kernel = self._kernel(record.text("kernel", KERNELS[family]), family)
            others = record.whole("other_kernels", 0)
            launch = Launch.model_validate({name: record.maybe(name) or None for name in Launch.model_fields})
            asked, earlier, work = _ASK[family](record, kernel, launch, budget(chip))
        except WorkloadError as error:
            raise Unpredictable(str(record.error(str(error)))) from None
        state = next(s for s in STATES if s == record.one_of("l2_state", STATES, "cold"))
        if state == "prev_step" and earlier is None:
            raise record.error("l2_state is prev_step and step_overlap is empty; fill in the share of rows kept")
        useful = record.maybe("useful_bytes") or work[0], record.maybe("useful_flops") or work[1]
        earlier = earlier if state == "prev_step" else None
        inputs = {
            "chip": chip.model_dump(mode="json", exclude={"title": True, "vendor": True, "note": True}),
            "asked": [_plain(asked), _plain(earlier)],
            "state": state,
            "dirty": self.dirty,
            "useful": useful,
            "others": others,
            "model": [MODEL_VERSION, _source()],
        }
        key = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
        return Case(key, record.id, _title(record), chip, asked, state, self.dirty, earlier, *useful, others)

    def _chip(self, record: Record) -> Chip:
        name = self.chip
        if name is None:
            if "device" not in record.cells:
                raise CodesignError(f"{record.file}: column 'device' is missing; add it, or name the chip with --chip")
            device = record.text("device")
            name = DEVICES.get(device, device)
            if name not in chip_names():
                raise record.error(
                    f"no chip is known for device '{device}'; known: {', '.join(DEVICES)}; or name one with --chip"
                )
        if name not in self._chips:
            self._chips[name] = load_chip(name, self.chip_set)
        return self._chips[name]

    def _kernel(self, name: str, family: str) -> Kernel | None:
        """The kernel that a name stands for in rows of `family`; None leaves the tiles to the workload."""
        if name.lower() == AUTO:
            return None
        name = find_kernel(name, "decode" if family == "decode" else "prefill" if family == "prefill" else "gather")
        if name not in self._kernels:
            self._kernels[name] = load_kernel(name)
        return self._kernels[name]


Made = tuple[Asked, Asked | None, tuple[int, int]]
"""What is asked, the step before it (if there is an overlap), and its useful bytes and operations."""


def _gather(record: Record, kernel: Kernel | None, launch: Launch, chip: Budget) -> Made:
    if kernel is None:
        raise WorkloadError("kernel is auto, the row is a gather, whose kernel must be named; name it")
    if kernel.phase != "gather":
        raise WorkloadError(f"kernel {kernel.name} is for {kernel.phase}, the row is a gather; name another")
    rows, size = record.whole("n_rows"), record.whole("row_bytes")
    stride = record.whole("row_stride_bytes", size)
    order = record.one_of("order", ("seq", "sequential", "sorted", "random"), "sorted")
    stream = record.text("family") == "stream"
    tiles = kernel.tiles_for(size)
    if stride == 0:
        raise WorkloadError("row_stride_bytes is 0, must be at least 1; correct the cell")
    code = kernel.code_for(size, True)
    first = Gather(
        rows,
        size,
        stride,
        record.whole("offset_bytes", 0),
        rows if stream else record.whole("pool_bytes") // stride,
        "sequential" if stream or order.startswith("seq") else "random" if order == "random" else "sorted",
        launch.block_n or tiles.block_kv,
        kernel.resident(launch, launch.num_warps or tiles.num_warps, chip),
        kernel.program_bytes(launch),
        code.once,
        code.rounds,
    )
    first.trace()
    overlap = record.real("step_overlap")
    if overlap is None:
        return first, None, (rows * size, 0)
    return replace(first, step=1, overlap=overlap), replace(first, overlap=overlap), (rows * size, 0)


def _decode(record: Record, kernel: Kernel | None, launch: Launch, chip: Budget) -> Made:
    dim, context, group = record.whole("head_dim"), record.whole("context"), record.whole("q_heads_per_kv_head")
    chosen = record.one_of("selection", ("dense", "topk", "block", "window"))
    tokens = context if chosen == "dense" else record.whole("selected_tokens")
    unit = record.whole("selection_block") if chosen == "block" else 1
    overlap = record.real("step_overlap")
    selects, kv_heads = chosen in ("topk", "block"), record.whole("kv_heads")
    shape = {"q_heads": kv_heads * group, "kv_heads": kv_heads, "q_len": 1, "kv_len": context, "head_dim": dim}
    if kernel is not None and kernel.value_dim is not None:
        shape |= {"head_dim_v": kernel.value_dim, "v_in_k": True}
    raw: dict[str, object] = {
        "phase": "decode",
        "shape": {**shape, "batch": record.whole("batch", 1)},
        "pattern": {"kind": "sliding_window", "window": tokens} if chosen == "window" else {"kind": "dense"},
    }
    steps: list[dict[str, object]] = [{}]
    if selects:
        selection = {"kind": "random", "tokens": tokens, "unit": unit, "seed": SEED, "overlap": overlap}
        steps = [{"selection": {**selection, "step": step}} for step in ((0,) if overlap is None else (1, 0))]
    elif overlap is not None:
        steps = [{}, {}]
    made = [_attention(record, kernel, launch, chip, {**raw, **step}) for step in steps]
    asked = made[0]
    moved, heads = asked.shape.batch * kv_heads * tokens, kv_heads * group * asked.shape.batch
    values = 0 if asked.shape.v_in_k else asked.shape.value_dim
    size = (dim + values) * element_bytes(asked.dtypes.k)
    work = (moved * size, 2 * heads * tokens * (dim + asked.shape.value_dim))
    return asked, made[1] if len(made) > 1 else None, work


def _prefill(record: Record, kernel: Kernel | None, launch: Launch, chip: Budget) -> Made:
    dim, length, window = record.whole("head_dim"), record.whole("context"), record.whole("window", 0)
    heads, kv_heads, batch = record.whole("heads"), record.whole("kv_heads"), record.whole("batch", 1)
    causal = record.truth("causal")
    if window and not causal:
        raise WorkloadError("window is set and causal is not; a window without causal order is not modelled")
    shape = {"q_heads": heads, "kv_heads": kv_heads, "q_len": length, "kv_len": length, "head_dim": dim}
    values = record.maybe("head_dim_v") or dim
    shape |= {} if values == dim else {"head_dim_v": values}
    kind = {"kind": "sliding_window", "window": window} if window else {"kind": "causal" if causal else "dense"}
    raw: dict[str, object] = {"phase": "prefill", "shape": {**shape, "batch": batch}, "pattern": kind}
    made = _attention(record, kernel, launch, chip, raw)
    seen = min(window or length, length)
    pairs = length * seen - seen * (seen - 1) // 2 if causal else length * length
    sizes, widths = [element_bytes(getattr(made.dtypes, name)) for name in "qkvo"], (dim, dim, values, values)
    row = [size * width for size, width in zip(sizes, widths, strict=True)]
    moved = batch * length * (heads * (row[0] + row[3]) + kv_heads * (row[1] + row[2]))
    return made, None, (moved, 2 * (dim + values) * heads * batch * pairs)


_ASK = {"stream": _gather, "gather": _gather, "gather_step": _gather, "decode": _decode, "prefill": _prefill}


def _attention(
    record: Record, kernel: Kernel | None, launch: Launch, chip: Budget, raw: Mapping[str, object]
) -> Workload:
    """The workload of a call by `kernel`, whose layout (HND or NHD, `page` tokens a page) and types the row names."""
    dtype = record.text("dtype", kernel.dtype if kernel else "bf16")
    stored = record.text("kv_dtype", (kernel.kv_dtype if kernel else None) or dtype)
    whole = {
        "kind": "attention",
        "name": kernel.name if kernel else AUTO,
        "dtype": {"q": dtype, "k": stored, "v": stored, "o": record.text("o_dtype", dtype)},
        "layout": _layout(record, kernel),
        **raw,
    }
    if kernel is None:
        return parse_workload(whole)
    tiling = kernel.tiling(parse_workload(whole), launch, chip)
    return parse_workload({**whole, "tiling": tiling.model_dump()})


def _layout(record: Record, kernel: Kernel | None) -> dict[str, object]:
    """Where K and V lie; in pages if the row says so, or its kernel knows no other way."""
    inner = record.one_of("layout", ("HND", "NHD"), "NHD")
    page = record.maybe("page") or (kernel.page if kernel else None)
    row = {"k_row_bytes": kernel.k_row_bytes if kernel else None}
    if page is None:
        return {"kind": "bnsd" if inner == "HND" else "bsnd", **row}
    placement = record.text("placement", "shuffled")
    return {"kind": "paged", "page": page, "inner": inner.lower(), "placement": placement, **row}


def _title(record: Record) -> str:
    """The row in a few words."""
    cells, words = record.cells, [record.text("family"), record.cells.get("selection", "")]
    if cells.get("head_dim"):
        context, chosen = record.maybe("context"), record.maybe("selected_tokens")
        words += ["" if chosen in (None, context) else f"{value_text('', chosen)} of", value_text("", context)]
        words += [f"dim {cells['head_dim']}", cells.get("layout", "")]
        words += [f"window {cells['window']}" if record.maybe("window") else ""]
        words += [f"batch {cells['batch']}" if record.maybe("batch") not in (None, 1) else "", _heads(record)]
    else:
        words += [f"{value_text('', record.maybe('n_rows'))} rows of {cells.get('row_bytes', '')} B"]
    if cells.get("step_overlap"):
        words.append(f"overlap {cells['step_overlap']}")
    elif cells.get("l2_state", "cold") != "cold":
        words.append(cells["l2_state"])
    return " ".join(word for word in words if word)


def _heads(record: Record) -> str:
    """Query and KV heads, where a row has a type of its own, as rows of many sources do that differ in little else."""
    kv, group, heads = (record.maybe(name) for name in ("kv_heads", "q_heads_per_kv_head", "heads"))
    if kv is None or "kv_dtype" not in record.cells:
        return ""
    return f"{heads or kv * (group or 1)}/{kv} heads {record.cells['kv_dtype']}"


def _plain(asked: Asked | None) -> Any:
    if asked is None:
        return None
    return asked.model_dump(mode="json") if isinstance(asked, Workload) else vars(asked)


@lru_cache(maxsize=1)
def _source() -> str:
    """SHA-256 of the code that predictions follow from, so that one of an earlier state is never taken for today's."""
    digest = hashlib.sha256()
    for file in (sim.__file__, workloads.__file__, __file__):
        for path in sorted(Path(file or "").parent.rglob("*")):
            if path.suffix in (".py", ".yaml"):
                digest.update(path.read_bytes())
    return digest.hexdigest()
