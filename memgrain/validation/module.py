"""Kernels of a layer measured as one call: an attention module, the scan of an index, or experts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from pydantic import BaseModel

from memgrain.hwmodels import Chip
from memgrain.inputs.keys import validate
from memgrain.runs.task import budget
from memgrain.sim import Result, simulate_sequence
from memgrain.validation.records import Record
from memgrain.workloads import (
    Budget,
    DType,
    Linear,
    Shard,
    SparseAttentionStep,
    Step,
    WorkloadError,
    conversion,
    count_bytes,
    count_flops,
    load_model,
)
from memgrain.workloads.layers.attention import Kernels, attention_workload
from memgrain.workloads.layers.rowwise import rowwise
from memgrain.workloads.layers.stages import ACTIVATION, LayerStages
from memgrain.workloads.layers.step import Stage
from memgrain.workloads.layers.workload import in_sequence

ABSORBED = ("k_b", "v_b")
"""Products with the matrices of latent heads, which vLLM and SGLang keep in bf16 for all model types (vLLM's
MLAAttention.process_weights_after_loading; SGLang's deepseek_weight_loader without SGL_USE_DEEPGEMM_BMM)."""
COMPULSORY = ("K", "V", "index")
"""Tensors that a call must read with any kernels, in addition to weights."""


@dataclass(frozen=True)
class AttentionModule:
    """The attention of a layer from its first projection to its last, without the preceding norm and the following
    reduction."""

    model: str
    """Name of the model."""
    kind: str
    """Kind of attention, by its name in the model's file."""
    step: Step
    """Phase, batch and context."""
    shard: Shard
    """Chips that share the model."""
    kernels: Kernels | None
    """Attention kernels; "auto": the chip's own."""
    launch_cycles: int
    """Cycles of a product's code in addition to its work."""

    @property
    def dtype(self) -> DType:
        """Element type of its products."""
        return self.step.product

    def stages(self, limits: Budget) -> tuple[Stage, ...]:
        """The kernels of the module. A product in fp8 is preceded by a conversion of its input from bf16."""
        found = [stage for stage in self._stages(self.step, limits) if stage.trace is not None and stage.name != "norm"]
        plain = self.step.model_copy(update={"weights": "bf16", "product": "bf16"})
        kept = {stage.name: stage for stage in self._stages(plain, limits) if stage.name in ABSORBED}
        return tuple(part for stage in found for part in self._whole(kept.get(stage.name, stage)))

    def _stages(self, step: Step, limits: Budget) -> Iterator[Stage]:
        return LayerStages(load_model(self.model), step, self.shard, limits, self.kernels).attention(self.kind)

    def _whole(self, stage: Stage) -> Iterator[Stage]:
        """A stage with its launch cycles, preceded by the conversion that it needs."""
        trace = stage.trace
        if trace is None or "W" not in {tensor.name for tensor in trace.tensors}:
            yield stage
            return
        names = dict(stage.names)
        if trace.dtype == "fp8":
            size = next(tensor.bytes for tensor in trace.tensors if tensor.name == "A")
            source, rows = names["A"], self.step.rows
            names["A"] = f"{source} for {stage.name}"
            yield _converted(stage, rows, size // rows, {"X": source, "A": names["A"]})
        trace = replace(trace, launch_cycles=(self.launch_cycles, 0))
        yield replace(stage, trace=trace, names=names)


@dataclass(frozen=True)
class IndexScan:
    """The scan of all index rows of one context by several queries."""

    model: str
    """Name of the model."""
    kind: str
    """Kind of attention, by its name in the model's file."""
    step: Step
    """Phase, batch and context; in prefill the tokens are the queries."""

    @property
    def dtype(self) -> DType:
        """Element type of its products."""
        return self.step.index_product

    def stages(self, limits: Budget) -> tuple[Stage, ...]:
        """The scan kernel. Raises WorkloadError if nothing is scanned."""
        workload = attention_workload(load_model(self.model), self.kind, self.step, Shard())
        traces = workload.kernels(limits) if isinstance(workload, SparseAttentionStep) else ()
        found = tuple(Stage(trace.name, "index", trace) for trace in traces if trace.name == "scan")
        if not found:
            raise WorkloadError(f"{self.kind} of {self.model} scans nothing of {self.step.context} tokens; take more")
        return found


@dataclass(frozen=True)
class Experts:
    """The experts of one chip as vLLM's fused_experts runs them: kernels read rows through index lists without a
    separate gather."""

    rows: tuple[int, ...]
    """Rows of each expert."""
    tokens: int
    """Number of tokens."""
    hidden: int
    """Elements per token."""
    inner: int
    """Elements between the two products of an expert."""
    dtype: DType
    """Element type of weights and products: bf16, or fp8."""

    def stages(self, limits: Budget) -> tuple[Stage, ...]:
        """Two products, the activation between them and the final sum; in fp8 with a conversion before each product
        (vllm/model_executor/layers/fused_moe/fused_moe.py)."""
        total, wide = sum(self.rows), ACTIVATION
        gates = {"gate": 2 * self.inner * wide}
        found = [
            self._product("gate_up", self.hidden, 2 * self.inner, "x", "gate", limits),
            Stage("activate", "ffn", rowwise("activate", total, gates, {"inner": self.inner * wide}, limits)),
            self._product("down", self.inner, self.hidden, "inner", "out", limits),
        ]
        if self.dtype == "fp8":
            names = {"X": "x in bf16", "A": "x"}
            trace = conversion("convert x", self.tokens, self.hidden, "bf16", "fp8")
            found.insert(0, Stage("convert x", "ffn", trace, names))
            names = {"X": "inner in bf16", "A": "inner"}
            found[2] = replace(found[2], names={"inner": names["X"]})
            trace = conversion("convert inner", total, self.inner, "bf16", "fp8")
            found.insert(3, Stage("convert inner", "ffn", trace, names))
        out = ceil(total / self.tokens) * self.hidden * wide
        found.append(Stage("add", "ffn", rowwise("add", self.tokens, {"out": out}, {"y": self.hidden * wide}, limits)))
        return tuple(found)

    def _product(self, name: str, inputs: int, outputs: int, source: str, target: str, limits: Budget) -> Stage:
        own = tuple(count for count in self.rows if count)
        workload = Linear(
            kind="linear",
            name=name,
            tokens=sum(own),
            inputs=inputs,
            outputs=outputs,
            matrices=len(own),
            rows=own,
            weights="fp8" if self.dtype == "fp8" else "bf16",
            dtype=self.dtype,
            out_dtype="bf16",
        )
        names = {"A": source, "W": f"weights of {name}", "C": target}
        return Stage(name, "ffn", workload.trace(limits), names)


@dataclass(frozen=True)
class Module:
    """A module measured as one call."""

    name: str
    """Name of the operation."""
    part: AttentionModule | IndexScan | Experts
    """The kernels that it runs."""

    @property
    def dtype(self) -> DType:
        """Element type of its products."""
        return self.part.dtype

    def simulate(self, chip: Chip) -> tuple[float, Result, int]:
        """Seconds of a call that directly follows another, the result, and the number of calls in it (1)."""
        traces = in_sequence(self.part.stages(budget(chip)))
        result = simulate_sequence(chip, traces, "warm", name=self.name)
        return result.time / 1e12, result, 1

    def work(self, limits: Budget) -> tuple[int, int]:
        """Useful bytes (weights and caches only) and useful operations."""
        moved, operations = dict[str, int](), 0
        for stage in self.part.stages(limits):
            assert stage.trace is not None
            operations += count_flops(stage.trace)
            read = count_bytes(stage.trace)
            for tensor in stage.trace.tensors:
                name = stage.names.get(tensor.name, tensor.name)
                if read[tensor.name][0] and (name.startswith("weights of ") or name in COMPULSORY):
                    moved[name] = max(moved.get(name, 0), tensor.useful_bytes)
        return sum(moved.values()), operations

    def plain(self) -> dict[str, Any]:
        """Everything that determines a prediction, as plain values."""
        made = {
            key: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
            for key, value in vars(self.part).items()
        }
        return {"name": self.name, "part": type(self.part).__name__, **made}


def module(record: Record, limits: Budget) -> tuple[Module, tuple[int, int]]:
    """The module of a row, and its useful bytes and operations. Raises WorkloadError if its step is invalid."""
    name = record.text("operation")
    part = PARTS[record.one_of("part", tuple(PARTS))](record)
    found = Module(name, part)
    return found, found.work(limits)


def _attention(record: Record) -> AttentionModule:
    stored = record.one_of("weights", ("bf16", "fp8"))
    step = _step(record, {"weights": stored, "product": stored})
    shard = Shard(tensor=record.whole("tensor", 1))
    kernels: Kernels | None = "auto" if record.cells.get("kernels") == "auto" else None
    cycles = record.whole("launch_cycles", 0)
    return AttentionModule(record.text("model"), record.text("layer"), step, shard, kernels, cycles)


def _scan(record: Record) -> IndexScan:
    return IndexScan(record.text("model"), record.text("layer"), _step(record, {}))


def _experts(record: Record) -> Experts:
    rows = tuple(int(count) for count in record.text("rows").split())
    dtype: DType = "fp8" if record.one_of("weights", ("bf16", "fp8")) == "fp8" else "bf16"
    return Experts(rows, record.whole("tokens"), record.whole("hidden"), record.whole("inner"), dtype)


def _step(record: Record, more: dict[str, Any]) -> Step:
    tokens = record.whole("tokens", 1)
    raw = {
        "phase": "prefill" if tokens > 1 else "decode",
        "batch": record.whole("batch", 1),
        "context": record.whole("context"),
        "tokens": tokens,
        "cache": record.text("cache"),
    }
    return validate(Step, {**raw, **more}, "step", WorkloadError)


PARTS: dict[str, Callable[[Record], AttentionModule | IndexScan | Experts]] = {
    "attention": _attention,
    "scan": _scan,
    "experts": _experts,
}
"""Values of the column `part`."""


def _converted(stage: Stage, rows: int, columns: int, names: dict[str, str]) -> Stage:
    name = f"convert for {stage.name}"
    return Stage(name, stage.component, conversion(name, rows, columns, "bf16", "fp8"), names)
