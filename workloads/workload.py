"""A workload: one attention call as a point in shape x pattern x selection x tiling x layout x element types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.kernels.tiling import Tiling
from memgrain.workloads.layouts.layout import Layout, Placement
from memgrain.workloads.patterns import EVICTING, BlockSparse, Dense, HeavyHitters, Pattern, Streaming, Visits, in_units
from memgrain.workloads.selection import Selection
from memgrain.workloads.shape import AttentionShape, DType, DTypes, Phase


class WidthConstraint(BaseModel):
    """A quantity that stays constant while a shape is swept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    q_heads_times_head_dim: int = Field(ge=1, le=2**32)
    """Width of the queries: q_heads is this divided by head_dim, rounded down to a multiple of kv_heads."""


class Workload(BaseModel):
    """An attention call; loaded from YAML by `load_workload`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["attention"]
    """Value of `kind` in the YAML; `KINDS` of `memgrain.workloads.load` has the others."""
    name: str = Field(min_length=1)
    """Name in tables and figures."""
    phase: Phase
    """prefill: many queries in q tiles, heads apart; decode: few queries, the context split among programs."""
    shape: AttentionShape
    """Heads, lengths and head dimensions; shape.q_heads may be absent under `hold`, shape.kv_len under a pattern that
    keeps only what it reads."""
    hold: WidthConstraint | None = None
    """Constraint that gives shape.q_heads if it is absent."""
    dtype: DType | DTypes
    """Element type of all four tensors, or of q, k, v and o one by one."""
    pattern: Pattern
    """Which tokens a query may read."""
    selection: Selection | None = None
    """Which of them a sparse step reads, through an index list; absent: all, as a stream."""
    layout: Layout
    """Layout of the tensors in memory."""
    kernel: str | None = None
    """A kernel by name (`memgrain kernels`) or YAML file, which decides the tiling; values of `tiling` that are not
    defaults take precedence. auto: the kernel that the chip's serving framework runs, if it is described; absent:
    none."""
    any_chip: bool = False
    """Whether a kernel may run on chips that it does not exist for, to estimate a port."""
    tiling: Tiling = Tiling()
    """How the kernel cuts the call into programs and tiles."""

    @model_validator(mode="before")
    @classmethod
    def _hold_width(cls, raw: Any) -> Any:
        """Fill in shape.q_heads from `hold`."""
        if not isinstance(raw, Mapping) or not isinstance(raw.get("hold"), Mapping):
            return raw
        width, shape = raw["hold"].get("q_heads_times_head_dim"), raw.get("shape")
        if not isinstance(shape, Mapping) or not isinstance(width, int):
            return raw
        head_dim, kv_heads = shape.get("head_dim"), shape.get("kv_heads")
        if not isinstance(head_dim, int) or not isinstance(kv_heads, int) or head_dim < 1 or kv_heads < 1:
            return raw
        heads = width // head_dim // kv_heads * kv_heads
        if heads == 0:
            raise WorkloadError(
                f"q_heads_times_head_dim {width} over head_dim {head_dim} gives fewer than kv_heads "
                f"{kv_heads} heads; raise it to at least {head_dim * kv_heads}"
            )
        if shape.get("q_heads", heads) != heads:
            raise WorkloadError(f"q_heads {shape['q_heads']} contradicts hold, which gives {heads}; leave one out")
        return {**raw, "shape": {**shape, "q_heads": heads}}

    @model_validator(mode="before")
    @classmethod
    def _keep(cls, raw: Any) -> Any:
        """Fill in shape.kv_len from the context of a cache that evicts."""
        pattern, shape = (raw.get(key) for key in ("pattern", "shape")) if isinstance(raw, Mapping) else (None, None)
        if not isinstance(pattern, Mapping) or pattern.get("kind") not in EVICTING or not isinstance(shape, Mapping):
            return raw
        try:
            kept = EVICTING[pattern["kind"]].model_validate(pattern).kept
        except ValidationError:
            return {**raw, "shape": {"kv_len": shape.get("q_len", 1), **shape}}  # so that the error names the pattern
        if shape.get("kv_len", kept) != kept:
            raise WorkloadError(
                f"kv_len {shape['kv_len']} contradicts pattern.context {pattern['context']}, of which {kept} tokens "
                "are kept; leave kv_len out"
            )
        return {**raw, "shape": {**shape, "kv_len": kept}}

    @model_validator(mode="after")
    def _agree(self) -> Workload:
        Placement(self.layout, self.shape, self.dtypes, None).check()
        if self.shape.q_len > self.shape.kv_len and not isinstance(self.pattern, Dense):
            raise WorkloadError(
                f"q_len {self.shape.q_len} exceeds kv_len {self.shape.kv_len}, and under pattern {self.pattern.kind} "
                "the context holds the queries too; lower q_len, or set pattern.kind: dense for more queries than keys"
            )
        if self.pattern.needs_selection and self.selection is None:
            raise WorkloadError(
                f"pattern {self.pattern.kind} chooses tokens and there is no selection; add "
                "selection: {kind: random, ratio: 0.05}"
            )
        if isinstance(self.pattern, Streaming | HeavyHitters) and (self.phase == "prefill" or self.shape.q_len > 1):
            raise WorkloadError(
                f"pattern {self.pattern.kind} is a cache in decode, phase is {self.phase} with q_len "
                f"{self.shape.q_len}; use phase: decode and q_len: 1"
            )
        if isinstance(self.pattern, Streaming | HeavyHitters) and self.layout.shared:
            raise WorkloadError(
                f"pattern {self.pattern.kind} keeps other tokens in each sequence, layout.shared is true; leave it out"
            )
        if self.phase == "prefill" and self.selection is not None and self.selection.kind == "recorded":
            raise WorkloadError(
                "a recorded selection holds one decode step, phase is prefill; use phase: decode or "
                "selection.kind: random"
            )
        if isinstance(self.pattern, BlockSparse) and self.selection is not None:
            block, unit = self.pattern.block, self.selection.unit
            if unit is not None and unit != block:
                raise WorkloadError(
                    f"selection unit {unit} is not the pattern's block of {block}; leave "
                    "selection.unit out of a random selection"
                )
        return self

    @property
    def dtypes(self) -> DTypes:
        """Element types of the four tensors."""
        if isinstance(self.dtype, DTypes):
            return self.dtype
        return DTypes(q=self.dtype, k=self.dtype, v=self.dtype, o=self.dtype)

    @property
    def unit(self) -> int:
        """Tokens that are selected together; 1 without a selection."""
        own = self.selection.unit if self.selection is not None else 1
        return own or (self.pattern.block if isinstance(self.pattern, BlockSparse) else 1)

    @property
    def kv_bytes(self) -> int:
        """Bytes of K and V in memory, whole pages included."""
        placement = Placement(self.layout, self.shape, self.dtypes, None)
        return sum(placement.bytes_of(name) for name in self.shape.kv_tensors)

    def visits(self, q_start: int, q_stop: int) -> Visits:
        """Tokens that queries [q_start, q_stop) read: streamed ranges, and candidates in whole units of the
        selection."""
        return in_units(self.pattern.visits(self.shape, q_start, q_stop, self.selection is not None), self.unit)

    def list_sizes(self, q_start: int, q_stop: int) -> tuple[int, int]:
        """Number of tokens that queries [q_start, q_stop) stream, and number that they select."""
        visits, selection = self.visits(q_start, q_stop), self.selection
        start, stop = visits.candidates
        return visits.tokens, selection.count(stop - start, self.unit) if selection and start < stop else 0
