"""Parts of a kernel's description: tile sizes and their conditions, pipeline, occupancy, units, cycles of its code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.kernels.tiling import Auto
from memgrain.workloads.kernels.unit_feed import Instruction
from memgrain.workloads.steps.merge import Course, Cycles

Count = Annotated[int, Field(ge=1, le=2**31)]


class Launch(BaseModel):
    """Values that a launch sets and its compiler reports; absent values follow from the kernel's description."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    block_m: Count | None = None
    """Query rows of a program."""
    block_n: Count | None = None
    """Tokens (gather: rows) of a tile."""
    splits: Count | None = None
    """Programs that share the context of one row of programs."""
    num_stages: Count | None = None
    """Depth of the software pipeline, as given to the compiler."""
    num_warps: Count | None = None
    """Warps of a program."""
    regs: Count | None = None
    """Registers of a thread."""
    shared: Annotated[int, Field(ge=0)] | None = None
    """Bytes of shared memory of a program."""


@dataclass(frozen=True)
class Call:
    """Properties of a call, besides the head dimension, that decide the tile sizes."""

    rows: int = 1
    """Query rows of a head, or of all heads of a group where they are packed."""
    masked: bool = False
    """Whether it is causal or windowed."""
    paged: bool = False
    """Whether K and V lie in pages."""
    element: int = 2
    """Bytes of an element of K."""
    scratchpad: int = 0
    """Bytes of scratchpad of a core."""


class Tiles(BaseModel):
    """Tile sizes for a range of head dimensions (gather: of row sizes in bytes), with settings that depend on them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    up_to: Count | None = None
    """Largest head dimension (bytes of a row) that they are for; absent: any."""
    masked: bool | None = None
    """Whether they are for causal or windowed calls (true) or for others (false); absent: for both."""
    paged: bool | None = None
    """Whether they are for K and V in pages (true) or without (false); absent: for both."""
    element: Count | None = None
    """Bytes of an element of K that they are for; absent: any."""
    rows_up_to: Count | None = None
    """Most query rows of a head, or of a group where heads are packed, that they are for; absent: any."""
    scratchpad_up_to: Count | None = None
    """Largest scratchpad of a core in bytes that they are for; absent: any."""
    block_q: Count | Auto | None = None
    """Query rows of a program; auto: the packed rows, rounded up to 16; absent in a gather."""
    block_kv: Count
    """Tokens of a tile; in a gather the rows of a program."""
    num_stages: Count = 1
    """Depth of the software pipeline."""
    num_warps: Count | None = None
    """Warps of a program; absent where the chip has none."""
    regs: Count | None = None
    """Registers of a thread, as far as they are known without a compiler's report."""
    shared: Count | None = None
    """Bytes of shared memory of a program; absent: as its tiles need."""
    convert_cycles: Annotated[int, Field(ge=0, le=2**20)] = 0
    """Cycles of the vector units that a token takes to be converted before the products."""

    cluster: Annotated[int, Field(ge=1, le=16)] = 1
    """Prefill: programs of neighbouring q tiles that load parts of each tile of K and V for one another."""

    def hold(self, size: int, call: Call) -> bool:
        """Whether they hold for that head dimension and call."""
        limits = (self.up_to, size), (self.rows_up_to, call.rows), (self.scratchpad_up_to, call.scratchpad)
        kinds = (self.masked, call.masked), (self.paged, call.paged), (self.element, call.element)
        return all(most is None or is_ <= most for most, is_ in limits) and all(
            wanted is None or wanted == is_ for wanted, is_ in kinds
        )

    @property
    def always(self) -> bool:
        """Whether they hold for any call."""
        conditions = (self.up_to, self.rows_up_to, self.scratchpad_up_to, self.masked, self.paged, self.element)
        return all(condition is None for condition in conditions)


class Pipeline(BaseModel):
    """How the depth of the software pipeline gives the tiles in flight."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    held_back: Annotated[int, Field(ge=-1, le=8)]
    """Tile buffers less than stages; -1: K's buffer is refilled while V's is still in use."""
    index_level: bool
    """Whether index-list loads and the loads that wait for them share the depth, half each. With a depth of one, lists
    have no buffer and are requested when the buffer of their rows is free."""
    query_first: bool = False
    """Whether a program waits for its query rows before it requests K and V."""


class Occupancy(BaseModel):
    """Limits of resident programs of a core, besides its scratchpad."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    registers: Count
    """Registers of a core."""
    register_unit: Count
    """Allocation unit of a warp's registers."""
    warps: Count
    """Warps that a core holds."""
    programs: Count
    """Programs that a core holds."""
    reserved_bytes: Annotated[int, Field(ge=0)]
    """Shared memory that every program reserves besides its own."""


class Feed(BaseModel):
    """How the kernel feeds the units; see `memgrain.workloads.kernels.unit_feed.UnitFeed`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instruction: Instruction
    """Matrix instruction."""
    producer_warps: Annotated[int, Field(ge=0, le=32)] = 0
    """Warps of a program that only load."""
    under_way: Count | None = None
    """Tiles that a program computes on at once; absent: one for every four warps."""
    shares: Literal["rows", "columns"] = "rows"
    """What groups of four warps divide among them."""
    copy_rows: Annotated[int, Field(ge=0, le=2**20)] = 0
    """Tokens that one copy brings, if the core waits for each copy with a flag; 0: copies overlap."""

    def groups(self, warps: int | None) -> int:
        """Groups of a program with that many warps that contend for the units; raises WorkloadError if all warps only
        load."""
        if warps is not None and self.producer_warps >= warps:
            raise WorkloadError(
                f"engine.producer_warps is {self.producer_warps} of {warps} warps, which leaves none that computes; "
                "lower it, or raise num_warps"
            )
        return self.under_way or max(1, ((warps or 0) - self.producer_warps) // 4)


class Code(BaseModel):
    """Cycles of the kernel's code besides waiting for memory: (of a program alone on a core, of the core's issue
    slots). Measured with all data in the cache next to the cores."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Count
    """Head dimension (gather: bytes of a row)."""
    selects: bool | None = None
    """Whether index lists are loaded; absent: whether or not."""
    element: Count | None = None
    """Bytes of an element of K; absent: any."""
    step: Course = (0, 0)
    """Of a step with a matrix product; a gather has none."""
    once: Course
    """Of a program's code outside its steps."""
    walk: Annotated[float, Field(ge=0)] = 0
    """The same per sequence between two programs of a core, for kernels whose programs search all sequences for their
    next one."""
    launch: Cycles = (0, 0)
    """Cycles that a launch takes once, beside its programs: (of the launch, for each program that begins with it)."""
    merge: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]] = (0, 0)
    """Decode: of a program of the kernel that merges splits: (whatever the call, for each sequence of the call)."""
    rounds: tuple[Count, Count] = (1, 1)
    """Gather: batches in which a program loads its rows, and how many of them it requests at once at first; the others
    follow one by one as registers become free."""
