"""The properties of a prediction that validation distinguishes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from memgrain.hwmodels import Chip, chip_names, load_chip
from memgrain.workloads import (
    AnyWorkload,
    Gemm,
    Kernel,
    Layers,
    Linear,
    SparseAttentionStep,
    Tiling,
    Workload,
    WorkloadError,
    element_bytes,
    find_kernel,
    load_kernel,
)
from memgrain.workloads.steps.linear import STORED

GENERIC = ""
"""The kernel of an attention call that names none: tiles are chosen automatically, and no code is counted."""
CHANGED = "*"
"""Follows the name of a chip or of a kernel with other numbers than it is shipped with."""
ONE_CHIP, ONE_NODE, NODES = "", "within a node", "over nodes"
"""Where the chips are that share a model."""
STEP = "step"
"""Family of layers and of steps of whole models."""
LAYERS, WHOLE = "layers", "whole model"
"""What of a model a step runs; stands in place of the kernel."""
MEASURED, NEIGHBOUR, SOURCES, UNKNOWN = "measured", "measured at another size", "from sources", "unknown"
"""How a kernel's code is known: its cycles were measured at this head dimension and element size, at another one, or
only what its sources say is described; unknown where no kernel is named."""


@dataclass(frozen=True)
class Subject:
    """What is predicted. A text is empty and a number 0 where the property does not apply."""

    family: str
    """decode or prefill (attention), step (layers, whole models), or the kind of the workload."""
    chip: str
    """Name of the chip; with CHANGED and a digest behind it if numbers of the shipped chip were changed."""
    kernel: str = GENERIC
    """Name of the attention kernel; of a step: layers or whole model."""
    code: str = ""
    """How the kernel's code is known."""
    pattern: str = ""
    """Which tokens are read: dense, top-k, blocks, window, causal, ...; of a step: the model."""
    head_dim: int = 0
    """Elements of a row of Q and K."""
    value_dim: int = 0
    """Elements of a row of V."""
    dtype: str = ""
    """Size of the elements of K and V, or of weights."""
    pages: str = ""
    """Whether K and V lie in pages."""
    links: str = ONE_CHIP
    """Where the chips are that share a model."""
    caches: str = "cold"
    """What the caches hold before: cold (clean lines of other data), dirty, warm, or those of the step before."""
    tokens: int = 0
    """Tokens that a query reads; of prefill and steps: the context; of a product: rows of the activations."""
    batch: int = 0
    """Sequences."""
    group: int = 0
    """Query rows of a KV head: query heads times new tokens."""
    bytes: int = 0
    """Bytes of K and V that are read (prefill: also Q and O); of a product: its weights."""
    predicted_us: float = 0.0
    """Predicted time, which tells short calls from long ones; 0 before it is known."""

    def in_time(self, picoseconds: int) -> Subject:
        """The subject with its predicted time."""
        return replace(self, predicted_us=picoseconds / 1e6)

    @property
    def text(self) -> str:
        """All that is known of it, as a cell of a row; see `from_text`."""
        return json.dumps({name: value for name, value in asdict(self).items() if value})

    @property
    def unmodified(self) -> bool:
        """Whether the chip is one as shipped."""
        return CHANGED not in self.chip


NUMBERS = ("head_dim", "value_dim", "tokens", "batch", "group", "bytes")
"""Fields that are numbers."""
FIELDS = tuple(item.name for item in fields(Subject) if item.name != "predicted_us")
"""All fields that are known before a prediction."""


def subject_of(chip: Chip, workload: AnyWorkload, before: str = "cold", kernel: Kernel | None = None) -> Subject:
    """The subject of a workload on a chip from that state of the caches; `kernel` is the one whose tiling the workload
    has, where it does not name it itself."""
    name = chip_name(chip)
    if isinstance(workload, Workload):
        return _attention(name, workload, before, kernel or _named(workload))
    if isinstance(workload, Linear):
        size = workload.matrices * workload.inputs * workload.outputs * STORED[workload.weights].bits // 8
        kind, width = workload.kind, _width(str(workload.weights))
        return Subject(kind, name, dtype=width, caches=before, tokens=workload.tokens, batch=1, bytes=size)
    if isinstance(workload, Gemm):
        return Subject(workload.kind, name, dtype=_width(workload.dtype), caches=before)
    if isinstance(workload, Layers):
        step = workload.step
        return Subject(
            STEP,
            name,
            LAYERS,
            pattern=f"{workload.model}, {step.phase}",
            caches=before,
            tokens=step.context,
            batch=step.batch,
        )
    pattern = _pattern(workload.attention) if isinstance(workload, SparseAttentionStep) else ""
    return Subject(str(workload.kind), name, pattern=pattern, caches=before)


def chip_name(chip: Chip) -> str:
    """The chip's name, marked if its numbers are not those of the shipped chip of that name."""
    shipped = _shipped(chip.name)
    if shipped is None or shipped == chip:
        return chip.name
    return f"{chip.name}{CHANGED}{hashlib.sha256(chip.model_dump_json().encode()).hexdigest()[:8]}"


def code_of(kernel: Kernel | None, head_dim: int, selects: bool, element: int) -> str:
    """How the code of a kernel is known for that head dimension and size of K's elements."""
    if kernel is None:
        return UNKNOWN
    fitting = {code.size for code in kernel.code if code.selects in (None, selects) and code.element in (None, element)}
    if head_dim in fitting:
        return MEASURED
    return NEIGHBOUR if fitting else SOURCES


def _attention(chip: str, asked: Workload, before: str, kernel: Kernel | None) -> Subject:
    shape, decode, name = asked.shape, asked.phase == "decode", GENERIC
    if kernel is not None:
        name = Path(kernel.name).stem + (CHANGED if asked.kernel is not None and _changed(asked) else "")
    element = element_bytes(asked.dtypes.k)
    tokens = sum(asked.list_sizes(0, shape.q_len)) if decode else shape.kv_len
    values = 0 if shape.v_in_k else shape.value_dim
    moved = shape.batch * shape.kv_heads * tokens * (shape.head_dim * element + values * element_bytes(asked.dtypes.v))
    if not decode:
        rows = shape.batch * shape.q_heads * shape.q_len
        moved += rows * (shape.head_dim + shape.value_dim) * element_bytes(asked.dtypes.q)
    return Subject(
        asked.phase,
        chip,
        name,
        code_of(kernel, shape.head_dim, asked.selection is not None, element),
        _pattern(asked),
        shape.head_dim,
        shape.value_dim,
        _width(asked.dtypes.k),
        "in pages" if asked.layout.kind == "paged" else "",
        ONE_CHIP,
        before,
        tokens,
        shape.batch,
        shape.group * (shape.q_len if decode else 1),
        moved,
    )


def _pattern(asked: Workload) -> str:
    """Which tokens are read, in a few words."""
    own = {"sliding_window": "window"}.get(asked.pattern.kind, asked.pattern.kind)
    chosen = asked.selection
    if chosen is None:
        return own
    name = "top-k" if asked.unit == 1 else "blocks"
    name += "" if chosen.kind == "random" else f" ({chosen.kind})"
    name += "" if getattr(chosen, "order", "sorted") == "sorted" else ", unsorted"
    return name if own == "dense" else f"{name} of {own}"


def _changed(asked: Workload) -> bool:
    """Whether the workload cuts the call otherwise than the kernel that it names; splits are the call's own choice."""
    own, silent = asked.tiling.model_dump(exclude={"splits"}), Tiling().model_dump(exclude={"splits"})
    return own != silent


def _named(workload: Workload) -> Kernel | None:
    """The kernel that a workload names."""
    if workload.kernel is None:
        return None
    try:
        return load_kernel(find_kernel(workload.kernel, workload.phase))
    except WorkloadError:
        return None


def _width(dtype: str) -> str:
    """16-bit floating-point types are one: kernels move and multiply them alike."""
    return "16-bit" if dtype in ("bf16", "fp16") else dtype


@lru_cache(maxsize=8)
def _shipped(name: str) -> Chip | None:
    return load_chip(name) if name in chip_names() else None


def from_text(text: str) -> Subject:
    """The subject that `Subject.text` wrote."""
    return Subject(**{"caches": "", **json.loads(text)})


def from_cells(cells: dict[str, Any]) -> Subject:
    """The subject of a line of evidence.csv."""
    found: dict[str, Any] = {name: int(cells[name]) if name in NUMBERS else cells[name] for name in FIELDS}
    return Subject(**found, predicted_us=float(cells["predicted_us"]))
