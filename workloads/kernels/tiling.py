"""How a kernel cuts an attention call into programs and tiles, and what a chip offers to them.

`memgrain.workloads.kernels.launcher` fits the one to the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.kernels.engine import Engine
from memgrain.workloads.kernels.pace import Pace
from memgrain.workloads.shape import AttentionShape, DTypes, element_bytes
from memgrain.workloads.steps.merge import Course, Merge

Auto = Literal["auto"]
Positive = Annotated[int, Field(ge=1, le=2**20)]
PadRule = Literal["none", "pow2"] | Positive | tuple[Positive, ...]

WAVES = 4
"""Programs a core that splitting a decode aims at where the chip's pace is not known."""
LARGEST_ROWS = 128
"""Query rows of an automatic program, at most; in prefill more where the units are not fed."""


def ascending(rule: PadRule) -> PadRule:
    """`rule`, whose sizes, if it has any, must ascend; raises WorkloadError if they do not."""
    if isinstance(rule, tuple) and list(rule) != sorted(set(rule)):
        raise WorkloadError(
            f"pad_head_dim has the sizes {list(rule)}, each must be above the one before; order them so"
        )
    return rule


class Tiling(BaseModel):
    """Tile sizes and loop order of an attention kernel; what is "auto" is resolved by `fit_tiling`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    block_q: Positive | Auto = "auto"
    """Query rows of a program: in prefill 128, doubled while a tile's bytes come slower than the units take its tokens
    (`memgrain.workloads.kernels.pace.fed`); in decode the packed rows, rounded up to 16, at most 128."""
    block_kv: Positive | Auto = "auto"
    """Tokens of a tile: 64, doubled while that is reckoned to be quicker (`memgrain.workloads.kernels.pace`), halved
    until they fit the scratchpad."""
    splits: Positive | Auto = "auto"
    """Programs that share the context of one row of programs in decode (split-KV), those that the launcher's estimate
    (`memgrain.workloads.kernels.pace.duration`) finds quickest; 1 in prefill."""
    parts: Positive | None = None
    """Decode: programs (of each kv head and block of query rows) to which the tiles of all sequences are dealt in equal
    parts, see `memgrain.workloads.kernels.deal`; absent: each context is split for itself, as `splits` says."""
    stages: Positive | Auto = "auto"
    """Tiles in flight: 3 (2 for wide heads), fewer if they do not fit the scratchpad."""
    resident: Positive | Auto = "auto"
    """Programs that run on a core at once: as many as the scratchpad holds, at most what the chip allows."""
    scratchpad_bytes: int | None = Field(default=None, ge=1, le=2**40)
    """Scratchpad of one program as its compiler reports it, in place of what the tiles are reckoned to need."""
    order: Literal["forward", "reverse"] = "forward"
    """Order in which a program walks its tiles; FlashAttention-2 and -3 walk from last to first."""
    aligned: bool = False
    """Decode: whether tiles begin at multiples of block_kv, as in prefill; else where what is read begins."""
    longest_first: bool = False
    """Prefill: the q tiles of a head from last to first, so that under a causal mask the longest begin."""
    pad_head_dim: PadRule = "none"
    """Padding of head dimensions in the scratchpad and the products: none, next power of two, a multiple, or the next
    of some sizes."""
    whole_rows: bool = False
    """Whether products and exponentials take all block_q rows of a program, queries or not."""
    cluster: Positive = 1
    """Prefill: programs of neighbouring q tiles that each load a part of every contiguous tile of K and V, and pass it
    on to one another (thread block cluster, multicast); used where it divides the q tiles."""
    pack_group: bool = True
    """Decode: the query rows of a group's heads (q_len x heads, token by token) are packed into programs of block_q
    rows, of which the last takes what is left; false: each head has programs of its own."""
    combine: bool = True
    """Decode with splits: a last set of programs merges the partial outputs; false leaves them, in fp32 and also where
    there is a single split, to another kernel."""
    step_cycles: Course = (0, 0)
    """Cycles that the kernel's code takes for a step, whatever its data: of a program alone on a core, and of the
    core's issue slots; (0, 0) leaves it to the units. See `memgrain.workloads.kernels.kernel.Code`."""
    once_cycles: Course = (0, 0)
    """The same for a program's code outside its steps."""
    launch_cycles: tuple[int, int] = (0, 0)
    """Cycles that a launch takes once, beside its programs: of the launch, and for each program that begins with it."""
    merge: Merge | None = None
    """How partial outputs are merged; absent: a program for every 8 query rows, heads included."""
    query_first: bool = False
    """Whether a program waits for its query rows before it asks for K and V."""
    lists_ahead: int = Field(default=1, ge=0, le=1)
    """Tiles by which index lists are asked for ahead of the rows that they name; 0: when these have a buffer."""
    engine: Engine | None = None
    """How it feeds the units; absent: products at the unit's own rate, then the softmax, whatever the instruction."""

    _padding = field_validator("pad_head_dim")(ascending)


@dataclass(frozen=True)
class Budget:
    """What a chip offers to a program."""

    cores: int
    """Cores that programs are dealt to."""
    scratchpad_bytes: int
    """On-chip memory of one core, shared by the programs resident there."""
    max_programs: int
    """Programs that may be resident on a core at once."""
    multicast: int = 1
    """Cores that one load of a matrix product's operands can serve; 1: none but its own."""
    request_bytes: int = 128
    """Bytes of a row that a copy should ask for at once: the width of a swizzled row of a GPU's scratchpad (CUTLASS,
    DeepGEMM), or the largest request of a DMA engine."""
    architecture: str | None = None
    """What its kernels are compiled for, such as sm90; empty: nothing that a kernel is described for; None: kernels
    are not held against it."""
    pace: Pace | None = None
    """How fast it feeds programs; None: tiles of 64 tokens, and WAVES programs a core in decode."""

    def __post_init__(self) -> None:
        for name in ("cores", "scratchpad_bytes", "max_programs", "multicast", "request_bytes"):
            if getattr(self, name) < 1:
                raise WorkloadError(f"budget {name} is {getattr(self, name)}, must be at least 1; pass the chip's")


@dataclass(frozen=True)
class FittedTiling:
    """A tiling in which every figure is known."""

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
    """What one program needs."""


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
