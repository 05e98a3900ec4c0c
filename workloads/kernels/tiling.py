"""How a kernel cuts an attention call into programs and tiles, and the budget that a chip offers to it.

`memgrain.workloads.kernels.launcher` fits the tiling to the budget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.kernels.pace import Pace
from memgrain.workloads.kernels.unit_feed import UnitFeed
from memgrain.workloads.shape import AttentionShape, DTypes, element_bytes
from memgrain.workloads.steps.merge import Course, Merge

Auto = Literal["auto"]
Positive = Annotated[int, Field(ge=1, le=2**20)]
PadRule = Literal["none", "pow2"] | Positive | tuple[Positive, ...]

WAVES = 4
"""Programs per core that splits of a decode aim at if the chip's pace is unknown."""
LARGEST_ROWS = 128
"""Most query rows of an automatic program; in prefill more if the units are not busy."""


def ascending(rule: PadRule) -> PadRule:
    """Return `rule`; raises WorkloadError if it has sizes that do not ascend."""
    if isinstance(rule, tuple) and list(rule) != sorted(set(rule)):
        raise WorkloadError(
            f"pad_head_dim has the sizes {list(rule)}, each must be above the one before; order them so"
        )
    return rule


class Tiling(BaseModel):
    """Tile sizes and loop order of an attention kernel; what is "auto" is resolved by `fit_tiling`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    block_q: Positive | Auto = "auto"
    """Query rows of a program. In prefill 128, doubled while loads take longer than the units
    (`memgrain.workloads.kernels.pace.fed`); in decode the packed rows, rounded up to 16, at most 128."""
    block_kv: Positive | Auto = "auto"
    """Tokens of a tile: 64, doubled while the estimate says that is faster (`memgrain.workloads.kernels.pace`), halved
    until they fit the scratchpad."""
    splits: Positive | Auto = "auto"
    """Programs that share the context of one row of programs in decode (split-KV): the number with the shortest
    estimated time (`memgrain.workloads.kernels.pace.duration`); 1 in prefill."""
    parts: Positive | None = None
    """Decode: programs (of each KV head and block of query rows) that get equal parts of the tiles of all sequences,
    see `memgrain.workloads.kernels.deal`; absent: each context is split for itself, as `splits` says."""
    stages: Positive | Auto = "auto"
    """Tiles in flight: 3 (2 for wide heads), fewer if they do not fit the scratchpad."""
    resident: Positive | Auto = "auto"
    """Programs that run on a core at once: as many as the scratchpad holds, at most what the chip allows."""
    scratchpad_bytes: int | None = Field(default=None, ge=1, le=2**40)
    """Scratchpad of one program as its compiler reports it; replaces the size computed from its tiles."""
    order: Literal["forward", "reverse"] = "forward"
    """Order in which a program processes its tiles; FlashAttention-2 and -3 go from last to first."""
    aligned: bool = False
    """Decode: whether tiles begin at multiples of block_kv, as in prefill; otherwise they begin at the first token that
    is read."""
    longest_first: bool = False
    """Prefill: the q tiles of a head are launched from last to first, so that under a causal mask the longest start
    first."""
    pad_head_dim: PadRule = "none"
    """Padding of head dimensions in the scratchpad and the products: none, next power of two, a multiple, or the next
    of some sizes."""
    whole_rows: bool = False
    """Whether products and exponentials cover all block_q rows of a program, including rows without a query."""
    cluster: Positive = 1
    """Prefill: programs of neighbouring q tiles that each load a part of every contiguous tile of K and V, and pass it
    on to one another (thread block cluster, multicast); used where it divides the q tiles."""
    pack_group: bool = True
    """Decode: the query rows of a group's heads (q_len x heads, token by token) are packed into programs of block_q
    rows, the last of which takes the remainder; false: each head has programs of its own."""
    combine: bool = True
    """Decode with splits: a last set of programs merges the partial outputs; false: they stay in fp32, even for a
    single split, for another kernel."""
    step_cycles: Course = (0, 0)
    """Cycles of the kernel's code for a step, independent of its data: of a program alone on a core, and of the core's
    issue slots; (0, 0): the units' time alone. See `memgrain.workloads.kernels.kernel.Code`."""
    once_cycles: Course = (0, 0)
    """The same for a program's code outside its steps."""
    launch_cycles: tuple[int, int] = (0, 0)
    """Cycles of a launch besides its programs: of the launch, and for each program that begins with it."""
    merge: Merge | None = None
    """How partial outputs are merged; absent: a program for every 8 query rows, heads included."""
    query_first: bool = False
    """Whether a program waits for its query rows before it requests K and V."""
    lists_ahead: int = Field(default=1, ge=0, le=1)
    """Tiles by which index-list requests run ahead of the rows that they name; 0: they are issued when the rows have a
    buffer."""
    engine: UnitFeed | None = None
    """How it feeds the units; absent: products at the unit's own rate, then the softmax, for any instruction."""

    _padding = field_validator("pad_head_dim")(ascending)


@dataclass(frozen=True)
class Budget:
    """The resources that a chip offers to programs."""

    cores: int
    """Cores that run programs."""
    scratchpad_bytes: int
    """On-chip memory of one core, shared by the programs resident there."""
    max_programs: int
    """Programs that may be resident on a core at once."""
    multicast: int = 1
    """Cores that one load of a matrix product's operands can serve; 1: none but its own."""
    request_bytes: int = 128
    """Bytes of a row that a copy should request at once: the width of a swizzled row of a GPU's scratchpad (CUTLASS,
    DeepGEMM), or the largest request of a DMA engine."""
    architecture: str | None = None
    """Architecture that kernels are compiled for, such as sm90; empty: one without described kernels; None: not
    checked."""
    pace: Pace | None = None
    """The chip's pace; None: tiles of 64 tokens, and WAVES programs a core in decode."""

    def __post_init__(self) -> None:
        for name in ("cores", "scratchpad_bytes", "max_programs", "multicast", "request_bytes"):
            if getattr(self, name) < 1:
                raise WorkloadError(f"budget {name} is {getattr(self, name)}, must be at least 1; pass the chip's")


@dataclass(frozen=True)
class FittedTiling:
    """A tiling in which every number is known."""

    block_q: int
    """Query rows of a program."""
    block_kv: int
    """Tokens of a tile."""
    splits: int
    """Programs that share the context of one row of programs."""
    stages: int
    """Tiles in flight."""
    resident: int
    """Programs that run on a core at once."""
    heads: int
    """Query heads that share rows of programs: 1, or the group when packed."""
    scratchpad_bytes: int
    """Scratchpad of one program in bytes."""


def padded(dim: int, rule: PadRule) -> int:
    """`dim` padded by `rule`: "none", "pow2", a multiple, or ascending sizes of which the next is taken."""
    if rule == "none":
        return dim
    if rule == "pow2":
        return 1 << (dim - 1).bit_length()
    if isinstance(rule, tuple):
        found = next((size for size in rule if size >= dim), None)
        if found is None:
            raise WorkloadError(f"head dimension {dim} exceeds {rule[-1]}, the largest of the kernel; lower it")
        return found
    return -(-dim // int(rule)) * int(rule)


def scratchpad_bytes(
    shape: AttentionShape,
    dtypes: DTypes,
    pad_head_dim: PadRule,
    block_q: int,
    block_kv: int,
    stages: int,
) -> int:
    """Bytes of scratchpad of one program: `stages` tiles of K and V and one of Q, padded; scores stay in registers."""
    k_row = padded(shape.head_dim, pad_head_dim)
    v_row = 0 if shape.v_in_k else padded(shape.value_dim, pad_head_dim)
    tile = block_kv * (k_row * element_bytes(dtypes.k) + v_row * element_bytes(dtypes.v))
    return stages * tile + block_q * k_row * element_bytes(dtypes.q)
