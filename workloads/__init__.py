"""What is asked of a chip: shapes and addresses of attention calls, as compressed traces; knows no chip."""

from __future__ import annotations

from workloads.attention import attention, fit, reckon
from workloads.conversion import conversion
from workloads.engine import Engine
from workloads.errors import WorkloadError
from workloads.gemm import Gemm
from workloads.indexed import Indexed
from workloads.indexer import Indexer
from workloads.kernel import Kernel, kernel_of, load_kernel, tiled
from workloads.kernel_names import ALIASES, find_kernel, kernel_names
from workloads.kernel_parts import Launch
from workloads.launcher import fit_tiling
from workloads.layers.step import Shard, Step
from workloads.layers.workload import Layers
from workloads.layout import Contiguous, Layout, Paged
from workloads.linear import Linear
from workloads.linear_tiling import FittedLinear, LinearTiling
from workloads.load import KINDS, AnyWorkload, load_any, load_workload, parse_any, parse_workload
from workloads.matrix import Elementwise, MatrixRead
from workloads.model import Model, load_model, model_names
from workloads.model_parts import Part
from workloads.pace import Pace
from workloads.patterns import PATTERNS, Pattern
from workloads.prefetch import Prefetch
from workloads.selection import SELECTIONS, LocalSelection, RandomSelection, RecordedSelection, Selection
from workloads.sequence import in_one_memory
from workloads.shape import AttentionShape, DType, DTypes, Phase, element_bytes
from workloads.synthetic import after_writes, gather, pointer_chase, stream, stride
from workloads.tiling import Budget, FittedTiling, Tiling, scratchpad_bytes
from workloads.trace import (
    ACCESS,
    PROGRAM,
    READ,
    RUN,
    STEP,
    WRITE,
    Chunk,
    Tensor,
    Trace,
    count_bytes,
    count_exps,
    count_flops,
    count_issued_macs,
    count_macs,
    count_steps,
    expand,
)
from workloads.trace_file import load_trace, save_trace
from workloads.workload import Hold, Workload
from workloads.wrong import known_keys

__all__ = [
    "ACCESS",
    "ALIASES",
    "KINDS",
    "PATTERNS",
    "PROGRAM",
    "READ",
    "RUN",
    "SELECTIONS",
    "STEP",
    "WRITE",
    "AnyWorkload",
    "AttentionShape",
    "Budget",
    "Chunk",
    "Contiguous",
    "DType",
    "DTypes",
    "Elementwise",
    "Engine",
    "FittedLinear",
    "FittedTiling",
    "Gemm",
    "Hold",
    "Indexed",
    "Indexer",
    "Kernel",
    "Launch",
    "Layers",
    "Layout",
    "Linear",
    "LinearTiling",
    "LocalSelection",
    "MatrixRead",
    "Model",
    "Pace",
    "Paged",
    "Part",
    "Pattern",
    "Phase",
    "Prefetch",
    "RandomSelection",
    "RecordedSelection",
    "Selection",
    "Shard",
    "Step",
    "Tensor",
    "Tiling",
    "Trace",
    "Workload",
    "WorkloadError",
    "after_writes",
    "attention",
    "conversion",
    "count_bytes",
    "count_exps",
    "count_flops",
    "count_issued_macs",
    "count_macs",
    "count_steps",
    "element_bytes",
    "expand",
    "find_kernel",
    "fit",
    "fit_tiling",
    "gather",
    "in_one_memory",
    "kernel_names",
    "kernel_of",
    "known_keys",
    "load_any",
    "load_kernel",
    "load_model",
    "load_trace",
    "load_workload",
    "model_names",
    "parse_any",
    "parse_workload",
    "pointer_chase",
    "reckon",
    "save_trace",
    "scratchpad_bytes",
    "stream",
    "stride",
    "tiled",
]
