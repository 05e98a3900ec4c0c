"""A product with weights as a table of kernels measures it: several copies of a layer, each with its own weights, run
one after the other in one graph that is replayed without a pause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from memgrain.hwmodels import Chip
from memgrain.runs.task import budget
from memgrain.sim import Result, simulate_sequence
from memgrain.validation.records import Record
from memgrain.workloads import DType, Linear, Trace, conversion, in_one_memory, parse_any

WEIGHTS = ("bf16", "fp16", "fp8", "int8", "fp4", "int4")
"""Element types of weights."""
PASSES = 2
"""Amount of weights, in capacities of the last cache, after which further copies find the cache in a steady state."""


@dataclass(frozen=True)
class Product:
    """A product measured as one call."""

    linear: Linear
    """The product."""
    copies: int = 1
    """Number of layers in the graph."""
    own_inputs: bool = False
    """Whether each layer also has its own A."""
    converted: DType | None = None
    """Type from which a separate kernel converts A first; None: no conversion."""

    @property
    def launches(self) -> int:
        """Number of kernels per call."""
        return 1 if self.converted is None else 2

    def kernels(self, chip: Chip) -> tuple[Trace, ...]:
        """The kernels of as many copies as are needed to reach a steady state of the chip's caches."""
        linear, cache = self.linear, chip.cache.capacity if chip.cache else 0
        traces, names = [], []
        for copy in range(min(self.copies, 1 + PASSES * cache // linear.matrix_bytes)):
            own = {"A": f"A{copy}"} if self.own_inputs else {}
            if self.converted is not None:
                traces.append(
                    conversion(linear.name, linear.tokens, linear.inputs, self.converted, linear.dtype),
                )
                names.append({"X": f"X{copy}" if self.own_inputs else "X", **own})
            traces.append(linear.trace(budget(chip)))
            names.append({"W": f"W{copy}", **own})
        return in_one_memory(traces, names)

    def simulate(self, chip: Chip) -> tuple[float, Result, int]:
        """Seconds of a call, the result of all kernels together, and the number of calls in it.

        A call bears its share of the graph launch; each kernel costs as much as a further kernel of a sequence.
        """
        traces = self.kernels(chip)
        result = simulate_sequence(chip, traces, "warm", name=self.linear.name)
        calls = len(traces) // self.launches
        further = chip.launch_overhead if chip.barrier is None else chip.barrier
        work = result.time - chip.launch_overhead - (len(traces) - 1) * further
        time = work / calls + self.launches * further + (chip.launch_overhead - further) / self.copies
        return time / 1e12, result, calls

    def plain(self) -> dict[str, Any]:
        """Everything that determines a prediction, as plain values."""
        return {**vars(self), "linear": self.linear.model_dump(mode="json")}


def product(record: Record) -> tuple[Product, tuple[int, int]]:
    """The product of a row, and the useful bytes and operations."""
    m, k, n = (record.whole(name) for name in ("tokens", "inputs", "outputs"))
    dtype = record.text("dtype", "bf16")
    raw = {
        "kind": "linear",
        "name": "linear",
        "tokens": m,
        "inputs": k,
        "outputs": n,
        "weights": record.one_of("weights", WEIGHTS, dtype),
        "dtype": dtype,
        "out_dtype": record.text("o_dtype", "bf16"),
        "tiling": {"cluster": record.whole("cluster", 1), "launch_cycles": [record.whole("launch_cycles", 0), 0]},
    }
    linear = parse_any(raw)
    assert isinstance(linear, Linear)
    types: tuple[DType, ...] = ("bf16", "fp16", "fp32")
    named = record.one_of("converted", types) if record.cells.get("converted") else None
    converted = next((dtype for dtype in types if dtype == named), None)
    found = Product(linear, record.whole("copies", 1), record.truth("own_inputs"), converted)
    useful = linear.matrix_bytes + m * (k + n) * 2
    return found, (useful, 2 * m * n * k)
