"""Conversion of a matrix to another element type before a product, as by kernels that quantize activations."""

from __future__ import annotations

import numpy as np

from memgrain.workloads.layouts.layout import bases
from memgrain.workloads.shape import DType, element_bytes
from memgrain.workloads.steps.writer import OneChunk
from memgrain.workloads.trace import PROGRAM, READ, RUN, STEP, WRITE, Tensor, Trace


def conversion(name: str, rows: int, columns: int, dtype: DType, out_dtype: DType) -> Trace:
    """Reads X [rows, columns] of `dtype` and writes A of `out_dtype`, a program for each row (vLLM's and SGLang's
    kernels for fp8); the arithmetic takes no time."""
    wide, narrow = columns * element_bytes(dtype), columns * element_bytes(out_dtype)
    at = bases({"X": rows * wide, "A": rows * narrow})
    runs = np.zeros((rows, 2), RUN)
    row = np.arange(rows, dtype=np.int64)[:, None]
    runs["base"] = np.array([at["X"], at["A"]]) + row * np.array([wide, narrow])
    runs["count"], runs["bytes"], runs["index"] = 1, (wide, narrow), -1
    runs["op"], runs["tensor"] = (READ, WRITE), (0, 1)
    steps = np.zeros(rows, STEP)
    steps["first_run"], steps["load_runs"], steps["store_runs"], steps["repeats"] = 2 * row[:, 0], 1, 1, 1
    programs = np.zeros(rows, PROGRAM)
    programs["first_step"], programs["steps"] = row[:, 0], 1
    tensors = (Tensor("X", at["X"], rows * wide, rows * wide), Tensor("A", at["A"], rows * narrow, rows * narrow))
    chunks = OneChunk(programs, steps, runs.ravel())
    return Trace(name, tensors, out_dtype, 0, 1, None, rows * wide, 0, rows * narrow, chunks)
