"""A step of a model: a decode step or a chunk of a prompt, and how chips share the layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import Field, model_validator

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.models.parts import Count, ModelRecord
from memgrain.workloads.shape import DType
from memgrain.workloads.trace import Trace

Component = Literal["projection", "index", "attention", "ffn", "norm", "head", "exchange"]
COMPONENTS: tuple[Component, ...] = ("projection", "index", "attention", "ffn", "norm", "head", "exchange")
"""Components that kernels of a model belong to, in the order of tables."""
WEIGHTS = "weights of "
"""Prefix of the names of weight tensors of a layer."""
KEPT = ("K", "V", "index")
"""Tensors of a layer that belong to the cache."""
MOST_DRAFTS = 16
"""Most new tokens of a sequence in decode."""
Stored = Literal["bf16", "fp8", "fp4", "int8", "int4"]
"""Element types of weights in memory."""
Collective = Literal["all_reduce", "all_gather", "reduce_scatter", "all_to_all"]


class Step(ModelRecord):
    """A forward pass: `batch` sequences of `context` tokens each, of which the last `tokens` are new."""

    phase: Literal["decode", "prefill"]
    """decode: a token or a few of each sequence; prefill: a chunk of a prompt."""
    batch: Count
    """Sequences."""
    context: Count
    """Tokens of each, the new ones included."""
    tokens: Count = 1
    """New tokens of each: those of the chunk in prefill; in decode 1, or drafts that are checked together (speculative
    decoding)."""
    cache: str | None = None
    """Form of the cache, by its name in the model's file; absent: the first."""
    page: Count = 64
    """Rows of a page of the cache."""
    inner: Literal["nhd", "hnd"] = "nhd"
    """Order in a page: rows of all KV heads side by side (vLLM on GPUs and Ascend), or head by head."""
    weights: Stored | None = None
    """Element type of all weights, in place of those that the model was released with."""
    integers: bool = False
    """Whether weights of 8 and 4 bits are integers instead of floating-point numbers, as on chips without fp8 (W8A8 and
    W4A8 of vllm-ascend)."""
    product: DType = "bf16"
    """Element type of the products with weights, and of their inputs."""
    index_product: DType = "fp8"
    """Element type in which an indexer's keys of a byte or less are multiplied."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the random choices: experts, selected tokens, pages."""

    @model_validator(mode="after")
    def _fits(self) -> Step:
        if self.tokens > self.context:
            raise WorkloadError(f"tokens {self.tokens} exceed the context of {self.context} that holds them; lower it")
        if self.phase == "decode" and self.tokens > MOST_DRAFTS:
            raise WorkloadError(
                f"tokens is {self.tokens} in decode, at most {MOST_DRAFTS} are checked at once; lower it, or use "
                "phase: prefill for a chunk of a prompt"
            )
        if self.tokens > 1 and self.batch > 1:
            raise WorkloadError(
                f"batch is {self.batch} with {self.tokens} new tokens of each, must be 1: chunks and drafts are those "
                "of one sequence; lower one of them"
            )
        return self

    @property
    def rows(self) -> int:
        """New tokens of all sequences: rows of every product with weights."""
        return self.batch * self.tokens


class Shard(ModelRecord):
    """How chips share a model: groups of `tensor` chips hold a layer together, `data` such groups have their own
    sequences, and with `expert` all chips share the experts."""

    tensor: Count = 1
    """Chips that share heads, columns of matrices and the vocabulary (tensor parallel; Megatron-LM, arXiv
    1909.08053)."""
    context: Count = 1
    """Chips of a group that hold different tokens of the same KV heads (context parallel in decode, as vLLM's
    decode_context_parallel_size); divides `tensor`."""
    data: Count = 1
    """Groups of chips, each with its own sequences (data parallel)."""
    expert: bool = False
    """Whether whole experts are dealt out over all chips (expert parallel); otherwise each is split over a group."""

    @model_validator(mode="after")
    def _fits(self) -> Shard:
        if self.tensor % self.context:
            raise WorkloadError(
                f"context {self.context} does not divide the {self.tensor} chips of tensor, whose KV it shares out; "
                f"choose a divisor of {self.tensor}"
            )
        return self

    @property
    def chips(self) -> int:
        """All chips."""
        return self.tensor * self.data

    @property
    def head_groups(self) -> int:
        """Parts into which query heads are split during attention."""
        return self.tensor // self.context


@dataclass(frozen=True)
class Exchange:
    """An exchange between chips between two kernels."""

    op: Collective
    """The collective operation."""
    bytes: int
    """Bytes of the vector that each chip ends with (all_reduce, all_gather), begins with (reduce_scatter), or sends in
    total (all_to_all)."""
    chips: int
    """Chips that take part."""


@dataclass(frozen=True, eq=False)
class Stage:
    """A kernel of a layer, or an exchange between chips."""

    name: str
    """Name of the stage."""
    component: Component
    """Component of the layer that it belongs to."""
    trace: Trace | None = None
    """The kernel; None for an exchange."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Its tensors with another name in the layer's memory."""
    exchange: Exchange | None = None
    """The exchange; None for a kernel."""

    @property
    def named(self) -> Trace:
        """The kernel under the stage's name."""
        assert self.trace is not None
        return replace(self.trace, name=self.name)


def cut(what: str, size: int, chips: int) -> int:
    """One chip's part of `size`; raises WorkloadError if `chips` chips cannot share it evenly."""
    if size % chips:
        raise WorkloadError(f"{what} {size} cannot be shared evenly by {chips} chips; choose a divisor of {size}")
    return size // chips
