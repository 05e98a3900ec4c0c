"""Records of a chip: cores, memory levels from the core outward, and DRAM standards; frozen and validated.

Quantities are integers in base units (bytes, bytes per second, picoseconds, hertz; see `memgrain.inputs.quantities`).
Fields in which chips differ have no default. Derived figures are properties. Every field has a description of one
sentence, which `memgrain explain` prints.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from memgrain.hwmodels.interconnect import Interconnect
from memgrain.hwmodels.main_memory import Dram
from memgrain.hwmodels.record import Spec
from memgrain.hwmodels.units import Bandwidth, Bytes, Count, Duration, Frequency, Latency, Rate, Share
from memgrain.inputs.quantities import format_bytes

DType = Literal["bf16", "fp16", "fp8", "int8", "fp32"]
Scope = Literal["core", "cluster", "chip"]
Replacement = Literal["lru", "fifo", "random", "plru", "srrip"]
LINES = 2**26
"""Most lines of a cache: their state must fit into the host's memory (8 GiB at 128 bytes a line)."""


class Tile(Spec):
    """The smallest matrix product that the unit executes; dimensions are rounded up to multiples of it."""

    m: Count = Field(description="rows of the left operand in one instruction")
    n: Count = Field(description="columns of the right operand in one instruction")
    k: Count = Field(description="inner dimension of one instruction, for 2-byte elements (halved sizes double it)")


class Matmul(Spec):
    """The matrix unit of one core."""

    macs_per_cycle: dict[DType, Rate] = Field(description="multiply-accumulates per cycle and core, by element type")
    sync_share: Share | None = Field(
        default=None,
        description=(
            "share of that rate for products with operands from registers (mma.sync), if the unit also has "
            "another instruction"
        ),
    )
    tile: Tile = Field(description="granularity of the unit, to which head dimensions are padded")


class Vector(Spec):
    """The vector unit of one core, as far as softmax uses it."""

    exps_per_cycle: Rate = Field(description="exponentials per cycle and core")
    ops_per_cycle: Rate = Field(description="other fp32 elementwise operations per cycle and core (max, scale, sum)")


class Cache(Spec):
    """A sectored set-associative cache, possibly in partitions."""

    kind: Literal["cache"]
    name: str = Field(description="name of the level: prefix of its counters and overrides")
    scope: Scope = Field(description="whether each core, each cluster or the whole chip has one")
    capacity: Bytes = Field(description="bytes of data in all partitions together")
    line: Bytes = Field(description="bytes that share one tag")
    sector: Bytes = Field(description="bytes with a valid bit and a dirty bit of their own")
    fill_granule: Bytes = Field(
        description="bytes fetched from the next level on a miss, aligned; sector <= granule <= line"
    )
    ways: Count = Field(description="lines of a set")
    replacement: Replacement = Field(description="which line of a full set is evicted")
    set_hash: Literal["none", "xor"] = Field(
        description="how a line number gives its set: its low part, or that xored with a hash of the rest"
    )
    write_policy: Literal["back", "through"] = Field(
        description=("whether writes stay until eviction or go to the next level at once")
    )
    write_allocate: bool = Field(description="whether a write miss allocates a line")
    dirty_share: Share | None = Field(
        default=None,
        description=(
            "share of a set's ways that may hold dirty lines; if a write exceeds it, the oldest dirty line is "
            "written back and stays, clean (absent: all ways may be dirty)"
        ),
    )
    partitions: Count = Field(
        description="parts with a lookup of their own; an address has its home in one, a core is next to one"
    )
    replicate: bool | None = Field(
        default=None,
        description="with partitions: whether a line read from a far one is also kept in the reader's partition",
    )
    slices: Annotated[Count, Field(le=65536)] = Field(
        description="independent banks of all partitions, which share the bandwidth"
    )
    bandwidth: Bandwidth = Field(description="bytes per second that all slices together deliver on hits")
    latency: Latency = Field(description="unloaded time of a hit in the core's own partition, measured at the core")
    uncached: Literal["serial", "parallel"] | None = Field(
        default=None,
        description=(
            "reads that bypass the cache: whether those of one line are served one by one, each with the next "
            "level's whole latency, or at the same time; absent: no such reads"
        ),
    )
    far_latency: Latency | None = Field(
        default=None, description="with partitions: unloaded time of a hit in another partition"
    )

    @property
    def sets(self) -> int:
        """Sets of one partition."""
        return self.capacity // (self.line * self.ways * self.partitions)

    @property
    def dirty_ways(self) -> int:
        """Most dirty lines of a set at a time."""
        return self.ways if self.dirty_share is None else int(self.dirty_share * self.ways + 1e-9)

    @model_validator(mode="after")
    def _consistent(self) -> Cache:
        if not self.sector <= self.fill_granule <= self.line:
            raise ValueError(
                f"sector {self.sector} <= fill_granule {self.fill_granule} <= line {self.line} must hold; "
                "set fill_granule between them"
            )
        for name, size in (("sector", self.sector), ("fill_granule", self.fill_granule), ("line", self.line)):
            if size & (size - 1):
                raise ValueError(f"{name} must be a power of two of bytes, got {size}; round it")
        if self.line // self.sector > 8:
            raise ValueError(f"at most 8 sectors a line, got {self.line // self.sector}; make sector larger")
        if self.sets < 1 or self.capacity % (self.line * self.ways * self.partitions):
            raise ValueError(
                f"capacity {self.capacity} is not a multiple of line x ways x partitions = "
                f"{self.line * self.ways * self.partitions}; change ways or capacity"
            )
        if self.capacity // self.line > LINES:
            raise ValueError(
                f"capacity {format_bytes(self.capacity)} is {self.capacity // self.line} lines of {self.line} B, at "
                f"most {LINES} are simulated; lower capacity or make line larger"
            )
        if self.ways > 64:
            raise ValueError(f"at most 64 ways are simulated, got {self.ways}; lower ways")
        if self.replacement == "plru" and (self.ways & (self.ways - 1) or self.ways > 32):
            raise ValueError(
                f"tree-PLRU needs a power of two of ways up to 32, got {self.ways}; choose another replacement or ways"
            )
        if self.dirty_share is not None and self.write_policy == "through":
            raise ValueError("dirty_share is for write_policy back, write_policy is through; remove dirty_share")
        for key in ("replicate", "far_latency"):
            if (getattr(self, key) is None) != (self.partitions == 1):
                mend = f"add {key}" if self.partitions > 1 else f"remove {key}"
                raise ValueError(f"{key} is for caches of several partitions, partitions is {self.partitions}; {mend}")
        if self.far_latency is not None and self.far_latency < self.latency:
            raise ValueError(
                f"far_latency {self.far_latency} ps < latency {self.latency} ps; raise it: "
                "the far partition is no nearer"
            )
        if self.slices % self.partitions:
            raise ValueError(f"slices {self.slices} must be a multiple of partitions {self.partitions}; change one")
        return self


class Requests(Spec):
    """Requests of a DMA engine: it cuts rows into pieces whose size depends on their address."""

    largest: Bytes = Field(
        description=(
            "largest request; a row is cut into pieces of the largest power of two, up to this, that divides "
            "the address; each counts as this many bytes in flight"
        )
    )
    smallest: Bytes = Field(description="smallest request, into which rows at odd addresses are cut")

    @model_validator(mode="after")
    def _consistent(self) -> Requests:
        for name, size in (("largest", self.largest), ("smallest", self.smallest)):
            if size & (size - 1):
                raise ValueError(f"{name} must be a power of two of bytes, got {size}; round it")
        if self.smallest > self.largest:
            raise ValueError(f"smallest request {self.smallest} exceeds the largest, {self.largest}; lower it")
        return self


class SplitWrites(Spec):
    """Rows that an engine writes piece by piece, because they do not begin where the memory's units do."""

    piece: Bytes = Field(description="bytes of a piece; rows at multiples of it are written whole")
    interval: Duration = Field(description="time that the writing engine takes for one piece")


class Scratchpad(Spec):
    """Memory that software fills by DMA commands or asynchronous copies."""

    kind: Literal["scratchpad"]
    name: str = Field(description="name of the level: prefix of its counters and overrides")
    scope: Scope = Field(description="whether each core, each cluster or the whole chip has one")
    capacity: Bytes = Field(description="bytes that programs may use")
    banks: Count = Field(description="banks, each of which serves one access a cycle")
    bank_width: Bytes = Field(description="bytes of one bank access; a row needs whole accesses")
    clock: Frequency = Field(description="clock of the banks")
    dma_startup: Duration | None = Field(
        default=None,
        description=(
            "time of a DMA engine for one command (one row, or one strided block of rows); absent: the cores "
            "issue the copies"
        ),
    )
    dma_rows: Count | None = Field(
        default=None, description="with dma_startup: equidistant rows that one command can move"
    )
    dma_row: Duration | None = Field(
        default=None,
        description=(
            "with dma_startup: time of the engine for each further row of a command whose rows are apart; absent: none"
        ),
    )
    dma_merge: Duration | None = Field(
        default=None,
        description=(
            "with dma_startup: time of the engine for each row that it writes of less than an access of the memory, "
            "which reads, merges and writes it; absent: none"
        ),
    )
    requests: Requests | None = Field(
        default=None, description="how rows are cut into requests; absent: only the bytes matter"
    )
    split_writes: SplitWrites | None = Field(
        default=None, description="how rows are written at addresses that do not suit; absent: like all others"
    )
    alignment: Bytes = Field(description="multiple to which transfers are rounded up")

    @property
    def bandwidth(self) -> int:
        """Bytes per second of all banks together."""
        return self.banks * self.bank_width * self.clock

    @model_validator(mode="after")
    def _consistent(self) -> Scratchpad:
        if (self.dma_startup is None) != (self.dma_rows is None):
            raise ValueError("dma_startup and dma_rows describe one engine; give both or neither")
        for key in ("dma_row", "dma_merge"):
            if getattr(self, key) is not None and self.dma_startup is None:
                raise ValueError(f"{key} is a time of a DMA engine, and dma_startup is absent; add it or remove {key}")
        return self


class Link(Spec):
    """A connection that every transfer between its two neighbours in the list crosses: a crossbar, a cluster port."""

    kind: Literal["link"]
    name: str = Field(description="name of the level: prefix of its counters and overrides")
    scope: Scope = Field(description="whether each core, each cluster or the whole chip has one")
    bandwidth: Bandwidth = Field(description="bytes per second of one link")
    latency: Latency = Field(description="time added to every transfer")


Level = Annotated[Cache | Scratchpad | Link | Dram, Field(discriminator="kind")]


class Core(Spec):
    """A kind of core and the levels that belong to it alone."""

    name: str = Field(description="name of the kind: prefix of its overrides")
    count: Annotated[Count, Field(le=65536)] = Field(description="cores of this kind on the chip")
    cores_per_cluster: Count = Field(
        default=1, description="cores that share the levels of scope cluster (1: none is shared)"
    )
    clock: Frequency = Field(description="clock under load")
    matmul: Matmul | None = Field(default=None, description="the matrix unit, if the kind has one")
    vector: Vector | None = Field(default=None, description="the vector unit, if the kind has one")
    max_programs: Count | None = Field(
        default=None, description="programs resident on a core at a time, if the scratchpad holds them"
    )
    max_bytes_in_flight: Bytes | None = Field(default=None, description="most bytes of reads in flight of a core")
    program_start: Duration | None = Field(
        default=None,
        description=(
            "time from the end of a program to the start of the next one in its slot; the first starts with the launch"
        ),
    )
    multicast: Count = Field(
        default=1, description="cores that one load of a product's operands can serve (a thread block cluster)"
    )
    bandwidth: Bandwidth = Field(description="bytes per second between a core and the first shared level")
    write_bandwidth: Bandwidth | None = Field(
        default=None,
        description=(
            "bytes per second from a core to the first shared level on a path for writes alone; absent: reads "
            "and writes share one"
        ),
    )
    near: list[Level] = Field(default_factory=list, description="levels of this kind of core, from the core outward")

    @model_validator(mode="after")
    def _consistent(self) -> Core:
        running = {
            "max_programs": self.max_programs,
            "max_bytes_in_flight": self.max_bytes_in_flight,
            "program_start": self.program_start,
        }
        for key, value in running.items():
            if self.matmul is not None and value is None:
                raise ValueError(f"{self.name} has a matmul unit, so programs run on it: add {key}")
            if self.matmul is None and (value is None) != (self.max_programs is None):
                raise ValueError(f"{self.name}: {', '.join(running)} describe running programs; give all or none")
        if self.cores_per_cluster == 1 and any(level.scope == "cluster" for level in self.near if level.kind != "dram"):
            raise ValueError(f"{self.name} has a level of scope cluster: say cores_per_cluster, or make it scope core")
        if self.count % self.cores_per_cluster:
            raise ValueError(
                f"{self.name}: count {self.count} is not a multiple of cores_per_cluster {self.cores_per_cluster}; "
                "change one"
            )
        return self


class Pages(Spec):
    """Pages of a KV cache as the chip's serving framework lays them out; the defaults are vLLM's on GPUs."""

    rows: Count = Field(default=64, description="tokens of a page")
    order: Literal["nhd", "hnd"] = Field(default="nhd", description="token by token (nhd), or head by head (hnd)")


class Chip(Spec):
    """A chip: kinds of core, and the memory levels that they share, from the cores outward."""

    name: str = Field(description="name of the file")
    title: str = Field(description="name in tables and figures")
    vendor: str = Field(description="company that makes it")
    architecture: str | None = Field(
        default=None,
        description=(
            "architecture that kernels are compiled for, such as sm90 (compute capability 9.0) or dav-2201; "
            "absent: no described kernel supports it"
        ),
    )
    pages: Pages = Field(default_factory=Pages, description="pages in which the chip's serving framework keeps K and V")
    note: str = Field(description="caveats of the numbers")
    launch_overhead: Duration = Field(description="time of a kernel that does nothing, start to end")
    mixed_launch: Duration | None = Field(
        default=None, description="what a kernel that runs on separate matrix and vector cores takes longer to launch"
    )
    dispatch: Duration | None = Field(
        default=None, description="time between program starts, if programs start one by one"
    )
    barrier: Duration | None = Field(
        default=None,
        description="time from the end of a kernel to the start of the next one of the same call; absent: none",
    )
    exchange: Literal["direct", "memory"] = Field(
        description="path of scores from the matrix to the vector unit: direct, or through the first shared level"
    )
    cores: list[Core] = Field(min_length=1, description="kinds of core")
    memory: list[Level] = Field(
        min_length=1, description="shared levels, from the cores outward; the last one is the DRAM"
    )
    interconnect: Interconnect | None = Field(
        default=None, description="links to other chips and collectives over them; absent: not described"
    )

    @property
    def matmul_core(self) -> Core:
        """The kind of core that runs programs: the first with a matrix unit."""
        return next(core for core in self.cores if core.matmul is not None)

    @property
    def vector_core(self) -> Core:
        """The kind of core that computes exponentials: the first with a vector unit."""
        return next(core for core in self.cores if core.vector is not None)

    @property
    def dram(self) -> Dram:
        """The main memory."""
        level = self.memory[-1]
        assert isinstance(level, Dram)
        return level

    @property
    def levels(self) -> list[Cache | Scratchpad | Link | Dram]:
        """All levels on a program's path to memory, from the core outward."""
        return [*self.matmul_core.near, *self.memory]

    @property
    def scratchpad(self) -> Scratchpad | None:
        """The level that holds a program's tiles: the first scratchpad of the kind of core that runs programs."""
        return next((level for level in self.levels if isinstance(level, Scratchpad)), None)

    @property
    def cache(self) -> Cache | None:
        """The last cache before the DRAM, if there is one."""
        return next((level for level in reversed(self.levels) if isinstance(level, Cache)), None)

    @model_validator(mode="after")
    def _consistent(self) -> Chip:
        if not any(core.matmul for core in self.cores) or not any(core.vector for core in self.cores):
            raise ValueError(
                "no core has a matmul unit or none has a vector unit; give one kind 'matmul' and one 'vector'"
            )
        if not isinstance(self.memory[-1], Dram) or any(isinstance(level, Dram) for level in self.memory[:-1]):
            raise ValueError("the last entry of memory must be the only one of kind dram; move it to the end")
        if self.vector_core.count % self.matmul_core.count:
            raise ValueError(
                f"{self.vector_core.count} {self.vector_core.name} cannot be shared out evenly among "
                f"{self.matmul_core.count} {self.matmul_core.name}; make one count a multiple of the other"
            )
        every = [*(level for core in self.cores for level in core.near), *self.memory]
        if any(isinstance(level, Dram) for core in self.cores for level in core.near):
            raise ValueError("a level near a core cannot be of kind dram; move it to memory")
        names = [core.name for core in self.cores] + [level.name for level in every]
        taken = {name for name in names if names.count(name) > 1} | (set(names) & set(Chip.model_fields))
        if taken:
            raise ValueError(f"names must be unique and no field of a chip: {', '.join(sorted(taken))}; rename")
        for upper, lower in zip(self.memory, self.memory[1:], strict=False):
            if isinstance(upper, Cache) and isinstance(lower, Dram) and upper.fill_granule % lower.smallest_access:
                raise ValueError(
                    f"{upper.name}.fill_granule {upper.fill_granule} is not a multiple of "
                    f"{lower.name}.smallest_access {lower.smallest_access}; raise fill_granule"
                )
        return self
