"""From a measured row to the call that it measured: a gather, an attention call, a product or a module, as the named
kernel runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from memgrain.runs.labels import value_text
from memgrain.validation.module import Module, module
from memgrain.validation.product import Product, product
from memgrain.validation.records import Record
from memgrain.workloads import (
    Budget,
    Kernel,
    Launch,
    Trace,
    Workload,
    WorkloadError,
    element_bytes,
    gather,
    parse_workload,
)

AUTO = "auto"
"""Value of the column `kernel` for no kernel: tiles are chosen as for a workload without a tiling."""
SEED = 1
"""Seed of the rows and tokens that were chosen at random in a measurement."""


@dataclass(frozen=True)
class Gather:
    """A gather as the measured kernel runs it."""

    rows: int
    row_bytes: int
    row_stride: int
    offset: int
    pool_rows: int
    order: Literal["random", "sorted", "sequential"]
    block_n: int
    resident: int | None
    """Programs resident on a core; None: determined by the chip."""
    program_bytes: int | None
    """Scratchpad bytes of a program; None: the size of its rows."""
    once_cycles: tuple[int, int]
    """Cycles of a program's code; see `memgrain.workloads.kernels.kernel.Code`."""
    rounds: tuple[int, int]
    """Number of parts in which a program loads its rows; see `Code`."""
    step: int = 0
    overlap: float = 0.0

    def trace(self) -> Trace:
        """The trace, with the kernel's resources."""
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


MeasuredCall = Gather | Workload | Product | Module


CallParts = tuple[MeasuredCall, MeasuredCall | None, tuple[int, int]]
"""The call, the step before it (if there is an overlap), and the useful bytes and operations."""


def _gather(record: Record, kernel: Kernel | None, launch: Launch, chip: Budget) -> CallParts:
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
    code, block = kernel.code_for(size, True), launch.block_n or tiles.block_kv
    first = Gather(
        rows,
        size,
        stride,
        record.whole("offset_bytes", 0),
        rows if stream else record.whole("pool_bytes") // stride,
        "sequential" if stream or order.startswith("seq") else "random" if order == "random" else "sorted",
        block,
        kernel.resident(launch, launch.num_warps or tiles.num_warps, chip),
        kernel.program_bytes(launch),
        code.once,
        (
            min(code.rounds[0], block),
            min(code.rounds[1], block),
        ),  # a program cannot load its rows in more parts than it has rows
    )
    first.trace()
    overlap = record.real("step_overlap")
    if overlap is None:
        return first, None, (rows * size, 0)
    return replace(first, step=1, overlap=overlap), replace(first, overlap=overlap), (rows * size, 0)


def _decode(record: Record, kernel: Kernel | None, launch: Launch, chip: Budget) -> CallParts:
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
    call = made[0]
    moved, heads = call.shape.batch * kv_heads * tokens, kv_heads * group * call.shape.batch
    values = 0 if call.shape.v_in_k else call.shape.value_dim
    size = (dim + values) * element_bytes(call.dtypes.k)
    work = (moved * size, 2 * heads * tokens * (dim + call.shape.value_dim))
    return call, made[1] if len(made) > 1 else None, work


def _prefill(record: Record, kernel: Kernel | None, launch: Launch, chip: Budget) -> CallParts:
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


def _linear(record: Record, kernel: Kernel | None, launch: Launch, chip: Budget) -> CallParts:
    if kernel is not None:
        raise WorkloadError(f"kernel {kernel.name} is none of products with weights; leave the cell empty")
    chosen = launch.model_copy(update={"regs": None, "shared": None})  # the compiler's report does not affect products
    if chosen != Launch():
        raise WorkloadError("a launch is given, and a product with weights has a tiling of its own; empty its cells")
    call, work = product(record)
    call.linear.fit(chip)
    return call, None, work


def _module(record: Record, kernel: Kernel | None, launch: Launch, chip: Budget) -> CallParts:
    if kernel is not None or launch != Launch():
        raise WorkloadError("a kernel or a launch is given, and a module runs several of its own; empty its cells")
    call, work = module(record, chip)
    return call, None, work


CALL: dict[str, Callable[[Record, Kernel | None, Launch, Budget], CallParts]] = {
    "stream": _gather,
    "gather": _gather,
    "gather_step": _gather,
    "decode": _decode,
    "prefill": _prefill,
    "linear": _linear,
    "module": _module,
}
"""The call that a row measured, by its family."""


def _attention(
    record: Record, kernel: Kernel | None, launch: Launch, chip: Budget, raw: Mapping[str, object]
) -> Workload:
    """The workload of a call by `kernel`. The row states its layout (HND or NHD, `page` tokens per page) and types."""
    dtype = record.text("dtype", kernel.dtype[0] if kernel else "bf16")
    stored = record.text("kv_dtype", (kernel.kv_dtype if kernel else None) or dtype)
    dim = record.whole("head_dim")
    whole = {
        "kind": "attention",
        "name": kernel.name if kernel else AUTO,
        "dtype": {"q": dtype, "k": stored, "v": stored, "o": record.text("o_dtype", dtype)},
        "layout": _layout(record, kernel, dim),
        **raw,
    }
    if kernel is None:
        return parse_workload(whole)
    tiling = kernel.tiling(parse_workload(whole), launch, chip)
    return parse_workload({**whole, "tiling": tiling.model_dump()})


def _layout(record: Record, kernel: Kernel | None, head_dim: int) -> dict[str, object]:
    """Layout of K and V; paged if the row or its kernel requires it."""
    inner = record.one_of("layout", ("HND", "NHD"), "NHD")
    page = record.maybe("page") or (kernel.page if kernel else None)
    row = {"k_row_bytes": kernel.row_bytes(head_dim) if kernel else None}
    if page is None:
        return {"kind": "bnsd" if inner == "HND" else "bsnd", **row}
    placement = record.text("placement", "shuffled")
    return {"kind": "paged", "page": page, "inner": inner.lower(), "placement": placement, **row}


def title(record: Record) -> str:
    """A short description of the row."""
    cells, words = record.cells, [record.text("family"), record.cells.get("selection", "")]
    if cells.get("title"):
        return cells["title"]
    if cells.get("outputs"):
        return (
            f"{words[0]} {' x '.join(cells[name] for name in ('tokens', 'outputs', 'inputs'))} {cells.get('dtype', '')}"
        )
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
    """Numbers of query and KV heads, for rows with a column `kv_dtype`, which often differ in little else."""
    kv, group, heads = (record.maybe(name) for name in ("kv_heads", "q_heads_per_kv_head", "heads"))
    if kv is None or "kv_dtype" not in record.cells:
        return ""
    return f"{heads or kv * (group or 1)}/{kv} heads {record.cells['kv_dtype']}"
