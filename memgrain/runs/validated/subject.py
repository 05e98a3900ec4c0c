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
from memgrain.workloads.steps.linear import STORAGE

GENERIC = ""
"""Kernel of an attention call without a named kernel: tiles are chosen automatically, and no code cycles are
counted."""
CHANGED = "*"
"""Suffix of the name of a chip or kernel whose parameters differ from the shipped ones."""
ONE_CHIP, ONE_NODE, NODES = "", "within a node", "over nodes"
"""Location of the chips that share a model."""
STEP = "step"
"""Family of layers and of steps of whole models."""
LAYERS, WHOLE = "layers", "whole model"
"""The part of a model that a step runs, used in place of the kernel."""
MEASURED, NEIGHBOUR, SOURCES, UNKNOWN = "measured", "measured at another size", "from sources", "unknown"
"""Knowledge of a kernel's code: its cycles were measured at this head dimension and element size, or at another one, or
the description follows its sources only; unknown if no kernel is named."""


@dataclass(frozen=True)
class Subject:
    """Properties of a prediction. A text is empty and a number 0 if the property does not apply."""

    family: str
    """decode or prefill (attention), step (layers, whole models), or the kind of the workload."""
    chip: str
    """Name of the chip, followed by CHANGED and a digest if parameters differ from the shipped chip."""
    kernel: str = GENERIC
    """Name of the attention kernel; for a step: layers or whole model."""
    code: str = ""
    """Knowledge of the kernel's code."""
    pattern: str = ""
    """Tokens that are read: dense, top-k, blocks, window, causal, ...; for a step: the model."""
    head_dim: int = 0
    """Elements of a row of Q and K."""
    value_dim: int = 0
    """Elements of a row of V."""
    dtype: str = ""
    """Size of the elements of K and V, or of weights."""
    pages: str = ""
    """Whether K and V lie in pages."""
    links: str = ONE_CHIP
    """Location of the chips that share a model."""
    caches: str = "cold"
    """Content of the caches before: cold (clean lines of other data), dirty, warm, or those of the step before."""
    tokens: int = 0
    """Tokens that a query reads; for prefill and steps: the context; for a product: rows of the activations."""
    batch: int = 0
    """Sequences."""
    group: int = 0
    """Query rows per KV head: query heads times new tokens."""
    bytes: int = 0
    """Bytes of K and V that are read (prefill: also Q and O); for a product: its weights."""
    predicted_us: float = 0.0
    """Predicted time, which distinguishes short from long calls; 0 if it is not known yet."""

    def in_time(self, picoseconds: int) -> Subject:
        """The subject with its predicted time."""
        return replace(self, predicted_us=picoseconds / 1e6)

    @property
    def text(self) -> str:
        """All fields as a cell of a row; see `from_text`."""
        return json.dumps({name: value for name, value in asdict(self).items() if value})


NUMBERS = ("head_dim", "value_dim", "tokens", "batch", "group", "bytes")
"""Numeric fields."""
FIELDS = tuple(item.name for item in fields(Subject) if item.name != "predicted_us")
"""Fields that are known before a prediction."""


def subject_of(chip: Chip, workload: AnyWorkload, before: str = "cold", kernel: Kernel | None = None) -> Subject:
    """The subject of a workload on a chip from that state of the caches. `kernel` is the one whose tiling the workload
    has, if the workload does not name it."""
    name = chip_name(chip)
    if isinstance(workload, Workload):
        return _attention(name, workload, before, kernel or _named(workload))
    if isinstance(workload, Linear):
        size = workload.matrices * workload.inputs * workload.outputs * STORAGE[workload.weights].bits // 8
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
    """The chip's name, marked if its parameters differ from those of the shipped chip."""
    shipped = _shipped(chip.name)
    if shipped is None or shipped == chip:
        return chip.name
    return f"{chip.name}{CHANGED}{hashlib.sha256(chip.model_dump_json().encode()).hexdigest()[:8]}"


def code_of(kernel: Kernel | None, head_dim: int, selects: bool, element: int) -> str:
    """Knowledge of a kernel's code for that head dimension and size of K's elements."""
    if kernel is None:
        return UNKNOWN
    fitting = {code.size for code in kernel.code if code.selects in (None, selects) and code.element in (None, element)}
    if head_dim in fitting:
        return MEASURED
    return NEIGHBOUR if fitting else SOURCES


def _attention(chip: str, workload: Workload, before: str, kernel: Kernel | None) -> Subject:
    shape, decode, name = workload.shape, workload.phase == "decode", GENERIC
    if kernel is not None:
        name = Path(kernel.name).stem + (CHANGED if workload.kernel is not None and _changed(workload) else "")
    element = element_bytes(workload.dtypes.k)
    tokens = sum(workload.list_sizes(0, shape.q_len)) if decode else shape.kv_len
    values = 0 if shape.v_in_k else shape.value_dim
    moved = (
        shape.batch * shape.kv_heads * tokens * (shape.head_dim * element + values * element_bytes(workload.dtypes.v))
    )
    if not decode:
        rows = shape.batch * shape.q_heads * shape.q_len
        moved += rows * (shape.head_dim + shape.value_dim) * element_bytes(workload.dtypes.q)
    return Subject(
        workload.phase,
        chip,
        name,
        code_of(kernel, shape.head_dim, workload.selection is not None, element),
        _pattern(workload),
        shape.head_dim,
        shape.value_dim,
        _width(workload.dtypes.k),
        "in pages" if workload.layout.kind == "paged" else "",
        ONE_CHIP,
        before,
        tokens,
        shape.batch,
        shape.group * (shape.q_len if decode else 1),
        moved,
    )


def _pattern(workload: Workload) -> str:
    """The tokens that are read, in a few words."""
    own = {"sliding_window": "window"}.get(workload.pattern.kind, workload.pattern.kind)
    chosen = workload.selection
    if chosen is None:
        return own
    name = "top-k" if workload.unit == 1 else "blocks"
    name += "" if chosen.kind == "random" else f" ({chosen.kind})"
    name += "" if getattr(chosen, "order", "sorted") == "sorted" else ", unsorted"
    return name if own == "dense" else f"{name} of {own}"


def _changed(workload: Workload) -> bool:
    """Whether the workload's tiling differs from that of its named kernel; the number of splits is not compared."""
    own, silent = workload.tiling.model_dump(exclude={"splits"}), Tiling().model_dump(exclude={"splits"})
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
    """The name of an element type; 16-bit floating-point types are one, since kernels move and multiply them alike."""
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
