"""Workloads: shapes and addresses of attention calls as compressed traces. This package knows no chip."""

from __future__ import annotations

from memgrain.inputs.keys import known_keys
from memgrain.workloads.attention import attention, estimated_time, fit
from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.kernels.kernel import Kernel, kernel_of, load_kernel, tiled
from memgrain.workloads.kernels.launcher import fit_tiling
from memgrain.workloads.kernels.names import ALIASES, find_kernel, kernel_names
from memgrain.workloads.kernels.pace import Pace
from memgrain.workloads.kernels.parts import Launch
from memgrain.workloads.kernels.tiling import Budget, FittedTiling, Tiling, scratchpad_bytes
from memgrain.workloads.kernels.unit_feed import UnitFeed
from memgrain.workloads.layers.step import Shard, Step
from memgrain.workloads.layers.workload import Layers
from memgrain.workloads.layouts.layout import Contiguous, Layout, Paged
from memgrain.workloads.load import KINDS, AnyWorkload, load_any, load_workload, parse_any, parse_workload
from memgrain.workloads.models.model import Model, load_model, model_names
from memgrain.workloads.models.parts import CacheComponent
from memgrain.workloads.patterns import PATTERNS, Pattern
from memgrain.workloads.selection import SELECTIONS, LocalSelection, RandomSelection, RecordedSelection, Selection
from memgrain.workloads.shape import AttentionShape, DType, DTypes, Phase, element_bytes
from memgrain.workloads.steps.conversion import conversion
from memgrain.workloads.steps.gemm import Gemm
from memgrain.workloads.steps.indexer import Indexer
from memgrain.workloads.steps.linear import Linear
from memgrain.workloads.steps.linear_tiling import FittedLinear, LinearTiling
from memgrain.workloads.steps.matrix import Elementwise, MatrixRead
from memgrain.workloads.steps.prefetch import Prefetch
from memgrain.workloads.steps.sequence import in_one_memory
from memgrain.workloads.steps.sparse_attention import SparseAttentionStep
from memgrain.workloads.steps.synthetic import after_writes, gather, pointer_chase, stream, stride
from memgrain.workloads.trace import (
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
from memgrain.workloads.trace_file import load_trace, save_trace
from memgrain.workloads.workload import WidthConstraint, Workload

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
    "CacheComponent",
    "Chunk",
    "Contiguous",
    "DType",
    "DTypes",
    "Elementwise",
    "FittedLinear",
    "FittedTiling",
    "Gemm",
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
    "Pattern",
    "Phase",
    "Prefetch",
    "RandomSelection",
    "RecordedSelection",
    "Selection",
    "Shard",
    "SparseAttentionStep",
    "Step",
    "Tensor",
    "Tiling",
    "Trace",
    "UnitFeed",
    "WidthConstraint",
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
    "estimated_time",
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
    "save_trace",
    "scratchpad_bytes",
    "stream",
    "stride",
    "tiled",
]
