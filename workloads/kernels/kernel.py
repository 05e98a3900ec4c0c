"""A kernel: how one implementation of attention (or of a gather) cuts, pipelines and places its programs."""

from __future__ import annotations

from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from memgrain.workloads.catalog import read_entry
from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.kernels.checks import check_call, check_pages, offered
from memgrain.workloads.kernels.names import FOLDER, find_kernel, kernel_names, unknown
from memgrain.workloads.kernels.parts import Call, Code, Count, Feed, Launch, Occupancy, Pipeline, Tiles
from memgrain.workloads.kernels.splits import BOUNDED, RULES, Decode, SplitRule
from memgrain.workloads.kernels.tiling import LARGEST_ROWS, Auto, Budget, PadRule, Tiling, ascending, padded
from memgrain.workloads.kernels.unit_feed import UnitFeed
from memgrain.workloads.layouts.layout import Paged
from memgrain.workloads.shape import DType, element_bytes
from memgrain.workloads.steps.merge import Merge
from memgrain.workloads.workload import Workload

AUTO = "auto"
"""Value of `kernel` that selects the chip's default kernel."""
WARP = 32
"""Threads of a warp."""
PLAIN = Call()
"""A call whose tiles depend on the head dimension only."""

UNREAD: dict[str, dict[str, tuple[str, ...]]] = {
    "decode": {"tiles": ("cluster",), "code": ("rounds",)},
    "prefill": {"code": ("rounds", "merge"), "": ("merge", "unsplit")},
    "gather": {
        "tiles": ("block_q", "num_stages", "regs", "shared", "convert_cycles", "cluster", "rows_up_to"),
        "code": ("step", "walk", "launch", "merge", "element"),
        "": ("splits", "unsplit", "pad_head_dim", "merge", "value_dim", "page", "page_sizes", "k_row_bytes", "engine"),
    },
}
"""Fields that kernels of a phase do not have, by the part of the description ("": the top)."""
READERS = {
    "convert_cycles": ("engine",),
    "regs": ("occupancy",),
    "num_warps": ("engine", "occupancy"),
}
"""Parts of the description that use a field of `tiles`; at least one of them must be there."""


def _listed(types: object) -> object:
    """Turn a single element type into a list of one."""
    return (types,) if isinstance(types, str) else types


class Kernel(BaseModel):
    """A kernel's description; loaded by `load_kernel`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    """Name of its file."""
    title: str = Field(min_length=1)
    """Name in tables and figures."""
    source: str = Field(min_length=1)
    """Sources of the description."""
    assumed: tuple[str, ...] = ()
    """Assumptions: fields that no source gives, each with its range."""
    architectures: tuple[str, ...] = Field(min_length=1)
    """Architectures that it is described for, as in `Budget.architecture`."""
    default_on: tuple[str, ...] = ()
    """Architectures on which vLLM or vllm-ascend runs it by default, if it computes the call."""
    phase: Literal["decode", "prefill", "gather"]
    """Kind of call that it computes: decode, prefill or gather."""
    dtype: Annotated[tuple[DType, ...], BeforeValidator(_listed), Field(min_length=1)]
    """Element types that it takes for Q, K and V alike; the first is the default."""
    kv_dtype: DType | None = None
    """Element type of K and V, if it differs from that of Q."""
    tiles: tuple[Tiles, ...] = Field(min_length=1)
    """Tile sizes, by ascending `up_to`; the first entry that holds for a call is used, and the last holds for any
    call."""
    splits: Count | Auto | SplitRule = "auto"
    """Programs that share a context in decode; auto: as for a workload without a kernel; a name: a rule of
    `memgrain.workloads.kernels.splits`."""
    unsplit: str | None = None
    """The kernel whose tiles are used where the rule gives a single split."""
    order: Literal["forward", "reverse"] = "forward"
    """Order in which a program processes its tiles."""
    aligned: bool = False
    """Decode: whether tiles begin at multiples of their tokens; otherwise they begin at the first token that is
    read."""
    longest_first: bool = False
    """Prefill: whether the last q tiles of a head are launched first."""
    pad_head_dim: PadRule = "none"
    """Padding of head dimensions in scratchpad and products."""
    pack_group: bool | Literal["one_query"] = True
    """Decode: whether the query rows of a group's heads are packed into programs; one_query: where there is but one
    query token."""
    whole_rows: bool = False
    """Whether it computes all rows of its tile, including rows without a query."""
    combine: bool = True
    """Decode: whether it includes the merge of partial outputs."""
    merge: Merge | None = None
    """Decode: how it cuts that merge; the rule of its splits sets `always`."""
    value_dim: Count | None = None
    """Elements of V, if V is the beginning of K's rows; absent: V is a tensor of its own."""
    page: Count | None = None
    """Tokens of a page of K and V; absent: it does not need pages."""
    page_sizes: tuple[Count, ...] = ()
    """Page sizes in tokens that it takes; empty: any."""
    k_row_bytes: tuple[Count, ...] = ()
    """Bytes of a row of K, for each size in `pad_head_dim`, if rows hold more than elements; empty: elements only."""
    pipeline: Pipeline = Pipeline(held_back=0, index_level=False)
    """How many tiles are in flight."""
    occupancy: Occupancy | None = None
    """Limits of resident programs; absent: the scratchpad and the chip's own limit."""
    engine: Feed | None = None
    """How it feeds the units; absent: products at the unit's own rate, then the softmax."""
    code: tuple[Code, ...] = ()
    """Cycles of its code by size; absent: the units' time alone."""

    _padding = field_validator("pad_head_dim")(ascending)

    @model_validator(mode="after")
    def _ascending(self) -> Kernel:
        if strange := [name for name in self.default_on if name not in self.architectures]:
            raise WorkloadError(f"default_on has {strange[0]}, architectures has not; add it there")
        limits = [tiles.up_to or 2**31 for tiles in self.tiles]
        if limits != sorted(limits) or [tiles.always for tiles in self.tiles].index(True) < len(limits) - 1:
            ends = [tiles.up_to for tiles in self.tiles]
            raise WorkloadError(f"tiles end at {ends}, must ascend, and only the last be for any call; order them so")
        return self

    @model_validator(mode="after")
    def _read(self) -> Kernel:
        for part, names in UNREAD[self.phase].items():
            entries: tuple[BaseModel, ...] = {"tiles": self.tiles, "code": self.code}.get(part, (self,))
            for name in names:
                if any(name in entry.model_fields_set for entry in entries):
                    where = f"{part} has {name}" if part else f"{name} is set"
                    raise WorkloadError(f"{where}, which a {self.phase} kernel does not have; leave it out")
        for name, parts in READERS.items():
            if all(getattr(self, part) is None for part in parts) and any(
                name in tiles.model_fields_set for tiles in self.tiles
            ):
                raise WorkloadError(
                    f"tiles has {name}, which nothing reads without {' or '.join(parts)}; describe it, or leave "
                    f"{name} out"
                )
        return self

    @model_validator(mode="after")
    def _rows_by_size(self) -> Kernel:
        sizes = self.pad_head_dim if isinstance(self.pad_head_dim, tuple) else ()
        if self.k_row_bytes and len(self.k_row_bytes) != len(sizes):
            raise WorkloadError(
                f"k_row_bytes has {len(self.k_row_bytes)} sizes of a row, pad_head_dim {len(sizes)} head dimensions; "
                "give one for each"
            )
        return self

    @model_validator(mode="after")
    def _timed(self) -> Kernel:
        known: set[tuple[int, bool | None, int | None]] = set()
        for code in self.code:
            key = code.size, code.selects, code.element
            if key in known:
                raise WorkloadError(f"code has two entries for size {code.size} and the same calls; leave one out")
            known.add(key)
        return self

    def tiles_for(self, size: int, call: Call = PLAIN) -> Tiles:
        """The tile sizes for a head dimension (gather: for rows of `size` bytes) and a call."""
        return next(tiles for tiles in self.tiles if tiles.hold(size, call))

    def row_bytes(self, head_dim: int) -> int | None:
        """Bytes of a row of K of that head dimension, where they are more than its elements."""
        if not self.k_row_bytes or not isinstance(self.pad_head_dim, tuple):
            return None
        return self.k_row_bytes[self.pad_head_dim.index(padded(head_dim, self.pad_head_dim))]

    def code_for(self, size: int, selects: bool, element: int = PLAIN.element) -> Code:
        """Cycles of the code for that head dimension (gather: bytes of a row) and size of K's elements; between
        described head dimensions, those of the next larger one."""
        fitting = (code for code in self.code if code.selects in (None, selects) and code.element in (None, element))
        known = sorted(fitting, key=lambda code: code.size)
        none = Code(size=max(1, size), selects=selects, once=(0, 0))
        return next((code for code in known if code.size >= size), known[-1] if known else none)

    def in_flight(self, num_stages: int, selects: bool) -> tuple[int, int]:
        """Tiles in flight of a program, and tiles by which index lists run ahead; `selects`: whether index lists are
        loaded before rows."""
        depth = num_stages - self.pipeline.held_back
        if not selects or not self.pipeline.index_level:
            return max(1, depth), 1
        return max(1, depth // 2), min(1, depth // 2)

    def resident(self, launch: Launch, num_warps: int | None, budget: Budget) -> int | None:
        """Resident programs of a core, from the compiler's report; None if it does not report shared memory.

        Raises WorkloadError if a core cannot hold the warps or the registers of one program.
        """
        bounds = [budget.max_programs, *self._bounds(launch, num_warps)]
        need = self.program_bytes(launch)
        return None if need is None else max(1, min(*bounds, budget.scratchpad_bytes // max(need, 1)))

    def _bounds(self, launch: Launch, num_warps: int | None) -> list[int]:
        """Resident programs by each limit of `occupancy`."""
        if self.occupancy is None or num_warps is None:
            return [2**31]
        limits, unit = self.occupancy, self.occupancy.register_unit
        if num_warps > limits.warps:
            raise WorkloadError(
                f"kernel {self.name} has {num_warps} warps a program, a core holds {limits.warps} (occupancy.warps); "
                "lower num_warps"
            )
        taken = -(-(launch.regs or 0) * WARP // unit) * unit * num_warps
        if taken > limits.registers:
            raise WorkloadError(
                f"kernel {self.name}: {num_warps} warps of {launch.regs} registers a thread take {taken} registers, a "
                f"core has {limits.registers} (occupancy.registers); lower regs or num_warps"
            )
        return [limits.programs, limits.warps // num_warps, limits.registers // max(taken, 1)]

    def program_bytes(self, launch: Launch) -> int | None:
        """Scratchpad of a program from the compiler's report; None if it does not report it."""
        if launch.shared is None:
            return None
        return launch.shared + (self.occupancy.reserved_bytes if self.occupancy else 0)

    def tiling(self, workload: Workload, launch: Launch, budget: Budget) -> Tiling:
        """The tiling of the call on a chip with `budget`; values in `launch` take precedence.

        Raises WorkloadError if the kernel is not for such a chip, or does not compute such a call.
        """
        if not workload.any_chip:
            self.check_chip(budget)
        check_call(self, workload)
        check_pages(self, workload)
        shape, selects = workload.shape, workload.selection is not None
        masked = workload.phase == "prefill" and workload.pattern.kind in ("causal", "sliding_window")
        paged, element = isinstance(workload.layout, Paged), element_bytes(workload.dtypes.k)
        call = Call(self._rows(workload), masked, paged, element, budget.scratchpad_bytes)
        tiles = self.tiles_for(shape.head_dim, call)
        splits, merges = self._splits(workload, launch, budget, tiles)
        parts = self._parts(workload, budget, tiles) if self.splits == "flashmla" and launch.splits is None else None
        if splits == 1 and self.unsplit is not None:
            tiles = load_kernel(self.unsplit).tiles_for(shape.head_dim, call)
        tiles = tiles.model_copy(
            update={"block_q": launch.block_m or tiles.block_q, "block_kv": launch.block_n or tiles.block_kv}
        )
        warps = launch.num_warps or tiles.num_warps
        shared = launch.shared if launch.shared is not None else self._shared(workload, tiles)
        reported = Launch(shared=shared, regs=launch.regs or tiles.regs)
        if launch.shared is None:
            self._check_room(reported, budget)
        code = self.code_for(shape.head_dim, selects, element)
        apart = budget.cores / (shape.kv_heads * (splits if isinstance(splits, int) else 1))
        walk = round(code.walk * min(apart, shape.batch))
        merging = round(code.merge[0] + code.merge[1] * shape.batch)
        merge = self.merge and self.merge.model_copy(update={"cycles": (merging, merging), "always": merges})
        stages, lists_ahead = self.in_flight(launch.num_stages or tiles.num_stages, selects)
        return Tiling(
            block_q=tiles.block_q or "auto",
            block_kv=tiles.block_kv,
            splits=splits,
            parts=parts,
            stages=stages,
            resident=self.resident(reported, warps, budget) or "auto",
            scratchpad_bytes=self.program_bytes(reported),
            order=self.order,
            aligned=self.aligned,
            longest_first=self.longest_first and masked,
            pad_head_dim=self.pad_head_dim,
            pack_group=self._packs(workload),
            whole_rows=self.whole_rows,
            cluster=tiles.cluster,
            combine=self.combine,
            step_cycles=code.step,
            once_cycles=(code.once[0] + walk, code.once[1] + walk),
            launch_cycles=code.launch,
            merge=merge,
            query_first=self.pipeline.query_first,
            lists_ahead=lists_ahead,
            engine=self._unit_feed(warps, tiles),
        )

    def check_chip(self, budget: Budget) -> None:
        """Raise WorkloadError if the kernel does not exist for the chip."""
        if budget.architecture is not None and budget.architecture not in self.architectures:
            chip = f"is {budget.architecture}" if budget.architecture else "has no architecture in its file"
            raise WorkloadError(
                f"kernel {self.name} is for {' and '.join(self.architectures)}, the chip {chip}; set kernel: auto for "
                "the chip's own, or any_chip: true for an estimate as if it ran there"
            )

    def computes(self, workload: Workload) -> bool:
        """Whether it computes such a call as a serving framework passes it: phase, heads, head dimension, types, rows
        and pages. An unsupported page size does not count: the user can change it."""
        try:
            check_call(self, offered(self, workload))
            padded(workload.shape.head_dim, self.pad_head_dim)
        except WorkloadError:
            return False
        return self.value_dim is not None or workload.selection is None

    def _check_room(self, own: Launch, budget: Budget) -> None:
        """Raise WorkloadError if a core has no room for one program."""
        need = self.program_bytes(own)
        if need is not None and need > budget.scratchpad_bytes:
            raise WorkloadError(
                f"kernel {self.name} takes {need} B of scratchpad a program, a core has {budget.scratchpad_bytes} B; "
                "lower tiling.block_kv or tiling.block_q, or name another kernel"
            )

    def _packs(self, workload: Workload) -> bool:
        """Whether query heads of a group share programs in this call."""
        own_lists = workload.selection is not None and workload.selection.share == "head"
        packs = self.pack_group is True or (self.pack_group == "one_query" and workload.shape.q_len == 1)
        return workload.phase == "decode" and packs and not own_lists

    def _rows(self, workload: Workload) -> int:
        """Query rows that the programs of one head, or of one group where heads are packed, divide among them."""
        return workload.shape.q_len * (workload.shape.group if self._packs(workload) else 1)

    def _splits(self, workload: Workload, launch: Launch, budget: Budget, tiles: Tiles) -> tuple[int | Auto, bool]:
        """Splits of the context: as launched, as described, or by its rule; and whether the merge kernel is launched
        even for a single split."""
        rule = self.splits if self.splits in BOUNDED else launch.splits or self.splits
        if isinstance(rule, int) or rule == "auto":
            return rule, False
        if rule == "flashmla":
            return 1, False
        shape, rows = workload.shape, workload.shape.batch * self._blocks(workload, tiles)
        tokens, size = sum(workload.list_sizes(0, shape.q_len)), launch.block_n or tiles.block_kv
        call = Decode(rows, shape.batch, budget.cores, tokens, size, shape.group, launch.splits)
        return RULES[rule](call), rule in BOUNDED and BOUNDED[rule](call) > 1

    def _blocks(self, workload: Workload, tiles: Tiles) -> int:
        """Blocks of query rows of a sequence, of all heads."""
        block_q = tiles.block_q if isinstance(tiles.block_q, int) else LARGEST_ROWS
        heads = workload.shape.kv_heads if self._packs(workload) else workload.shape.q_heads
        return heads * ceil(self._rows(workload) / block_q)

    def _parts(self, workload: Workload, budget: Budget, tiles: Tiles) -> int:
        """Programs over which all tiles of a block of query rows are dealt: as many as run at once."""
        return max(1, budget.cores // self._blocks(workload, tiles))

    def _shared(self, workload: Workload, tiles: Tiles) -> int | None:
        """Scratchpad of a program if the compiler does not report it: buffers of K and V, and Q; None: as the fit
        computes it."""
        if self.engine is None or tiles.shared is not None:
            return tiles.shared
        shape, size = workload.shape, element_bytes(workload.dtypes.q)
        k_row, v_row = (padded(dim, self.pad_head_dim) * size for dim in (shape.head_dim, shape.value_dim))
        rows = (
            tiles.block_q if isinstance(tiles.block_q, int) else min(LARGEST_ROWS, ceil(self._rows(workload) / 16) * 16)
        )
        return tiles.num_stages * tiles.block_kv * (k_row + (0 if shape.v_in_k else v_row)) + rows * k_row

    def _unit_feed(self, warps: int | None, tiles: Tiles) -> UnitFeed | None:
        if self.engine is None:
            return None
        return UnitFeed(
            instruction=self.engine.instruction,
            groups=self.engine.groups(warps),
            shares=self.engine.shares,
            copy_rows=self.engine.copy_rows,
            convert_cycles=tiles.convert_cycles,
        )


def tiled(workload: Workload, budget: Budget) -> Workload:
    """The workload with the tiling of its kernel; values of its own tiling that are not defaults take precedence."""
    kernel = kernel_of(workload, budget)
    if kernel is None:
        return workload if workload.kernel is None else workload.model_copy(update={"kernel": None})
    if workload.kernel == AUTO:
        workload = offered(kernel, workload)
    silent, own = Tiling().model_dump(), workload.tiling.model_dump()
    said = {name: value for name, value in own.items() if value != silent[name]}
    sizes = {"block_m": said.get("block_q"), "block_n": said.get("block_kv"), "splits": said.get("splits")}
    launch = Launch.model_validate({name: size for name, size in sizes.items() if isinstance(size, int)})
    tiling = kernel.tiling(workload, launch, budget).model_dump() | said
    return Workload.model_validate({**workload.model_dump(), "kernel": None, "tiling": tiling})


def kernel_of(workload: Workload, budget: Budget) -> Kernel | None:
    """The kernel that computes the call on a chip with `budget`: the named one, or for auto the chip's default. None:
    tiles are chosen without a kernel. Raises WorkloadError for an unknown name."""
    if workload.kernel is None:
        return None
    if workload.kernel != AUTO:
        return load_kernel(find_kernel(workload.kernel, workload.phase))
    return next((kernel for kernel in defaults(budget.architecture) if kernel.computes(workload)), None)


@lru_cache
def defaults(architecture: str | None) -> tuple[Kernel, ...]:
    """Default kernels of serving frameworks on chips of that architecture, as far as described."""
    return tuple(kernel for kernel in map(load_kernel, kernel_names()) if architecture in kernel.default_on)


def load_kernel(name: str | Path) -> Kernel:
    """The kernel of that name or YAML file; raises WorkloadError, in one line, if there is none."""
    known = kernel_names()
    path = FOLDER / f"{name}.yaml" if str(name) in known else Path(name)
    if path.suffix not in (".yaml", ".yml"):
        raise unknown(str(name))
    return read_entry(path, Kernel, known)
