"""A kernel: how one implementation of attention (or of a gather) cuts, pipelines and places its programs, by name."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from workloads.errors import WorkloadError
from workloads.shape import DType
from workloads.tiling import Auto, Budget, Tiling

FOLDER = Path(__file__).parent / "kernels"
WARP = 32
"""Threads of a warp."""

Count = Annotated[int, Field(ge=1, le=2**31)]


class Launch(BaseModel):
    """What a launch sets and its compiler reports; what is absent follows from the kernel's description."""

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


class Tiles(BaseModel):
    """Tile sizes of a range of head dimensions (gather: of row sizes in bytes)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    up_to: Count | None = None
    """Largest head dimension (bytes of a row) that they are for; absent: any."""
    block_q: Count | Auto | None = None
    """Query rows of a program; auto: the packed rows, rounded up to 16; absent in a gather."""
    block_kv: Count
    """Tokens of a tile; in a gather the rows of a program."""
    num_stages: Count
    """Depth of the software pipeline."""
    num_warps: Count
    """Warps of a program."""


class Pipeline(BaseModel):
    """From the depth of the software pipeline to the tiles in flight."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    held_back: Annotated[int, Field(ge=0, le=8)]
    """Tile buffers fewer than stages."""
    index_level: bool
    """Whether loads of index lists share the depth with the loads that wait for them, half each."""


class Occupancy(BaseModel):
    """What bounds the programs that are resident on a core, beside its scratchpad."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    registers: Count
    """Registers of a core."""
    register_unit: Count
    """Registers are dealt out to a warp in multiples of this."""
    warps: Count
    """Warps that a core holds."""
    programs: Count
    """Programs that a core holds."""
    reserved_bytes: Annotated[int, Field(ge=0)]
    """Shared memory that every program loses beside its own."""


Cycles = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]


class Code(BaseModel):
    """What the kernel's code takes beside waiting for memory, in cycles of the core: (of a program that has the core to
    itself, of the core's issue slots). Measured with all data in the cache beside the cores."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Count
    """Head dimension (gather: bytes of a row)."""
    selects: bool
    """Whether index lists are loaded."""
    step: Cycles
    """Of a step with a matrix product."""
    once: Cycles
    """Of a program's code outside its steps."""


class Kernel(BaseModel):
    """A kernel's description; loaded by `load_kernel`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    """Name of its file."""
    title: str = Field(min_length=1)
    """What people call it."""
    source: str = Field(min_length=1)
    """Where the description comes from."""
    phase: Literal["decode", "prefill", "gather"]
    """What it computes."""
    dtype: DType
    """Element type of its tensors."""
    tiles: tuple[Tiles, ...] = Field(min_length=1)
    """Tile sizes, by ascending `up_to`; the last entry has none."""
    splits: Count | Auto = "auto"
    """Programs that share a context in decode; auto: `workloads.tiling.WAVES` programs a core."""
    order: Literal["forward", "reverse"] = "forward"
    """Order in which a program walks its tiles."""
    pad_head_dim: Literal["none", "pow2"] | Count = "none"
    """Padding of head dimensions in scratchpad and products."""
    pack_group: bool = True
    """Decode: whether the query heads of a group share a program."""
    combine: bool = True
    """Decode: whether the merge of partial outputs belongs to it."""
    pipeline: Pipeline = Pipeline(held_back=0, index_level=False)
    """How many tiles are in flight."""
    occupancy: Occupancy | None = None
    """What bounds resident programs; absent: the scratchpad and the chip's own limit."""
    code: tuple[Code, ...] = ()
    """What its code takes, by size; absent: the units' time alone."""

    @model_validator(mode="after")
    def _ascending(self) -> Kernel:
        limits = [tiles.up_to for tiles in self.tiles]
        known = [limit for limit in limits[:-1] if limit is not None]
        if limits[-1] is not None or len(known) < len(limits) - 1 or known != sorted(set(known)):
            raise WorkloadError(
                f"tiles end at {limits}, must ascend and end with an entry without up_to; order them so"
            )
        return self

    def tiles_for(self, size: int) -> Tiles:
        """The tile sizes for a head dimension (gather: for rows of `size` bytes)."""
        return next(tiles for tiles in self.tiles if tiles.up_to is None or size <= tiles.up_to)

    def code_for(self, size: int, selects: bool) -> Code:
        """What the code takes for that head dimension (gather: bytes of a row): of the next size that is described."""
        known = sorted((code for code in self.code if code.selects == selects), key=lambda code: code.size)
        none = Code(size=max(1, size), selects=selects, step=(0, 0), once=(0, 0))
        return next((code for code in known if code.size >= size), known[-1] if known else none)

    def in_flight(self, num_stages: int, selects: bool) -> int:
        """Tiles in flight of a program; `selects` says that it loads index lists before rows."""
        levels = 2 if selects and self.pipeline.index_level else 1
        return max(1, (num_stages - self.pipeline.held_back) // levels)

    def resident(self, launch: Launch, num_warps: int, budget: Budget) -> int | None:
        """Programs on a core at once, from what the compiler reports; None if it reports no shared memory."""
        need = self.program_bytes(launch)
        if need is None:
            return None
        bounds = [budget.max_programs, budget.scratchpad_bytes // max(need, 1)]
        if self.occupancy is not None:
            limits, unit = self.occupancy, self.occupancy.register_unit
            bounds += [limits.programs, limits.warps // num_warps]
            if launch.regs is not None:
                bounds.append(limits.registers // (-(-launch.regs * WARP // unit) * unit * num_warps))
        return max(1, min(bounds))

    def program_bytes(self, launch: Launch) -> int | None:
        """Scratchpad that a program takes, from what the compiler reports; None if it does not."""
        if launch.shared is None:
            return None
        return launch.shared + (self.occupancy.reserved_bytes if self.occupancy else 0)

    def tiling(self, head_dim: int, selects: bool, launch: Launch, budget: Budget) -> Tiling:
        """How it cuts a call with that head dimension on a chip that offers `budget`; `launch` takes precedence."""
        if self.phase == "gather":
            raise WorkloadError(f"kernel {self.name} is a gather, which has no attention tiling; name another kernel")
        tiles, code = self.tiles_for(head_dim), self.code_for(head_dim, selects)
        return Tiling(
            block_q=launch.block_m or tiles.block_q or "auto",
            block_kv=launch.block_n or tiles.block_kv,
            splits=launch.splits or self.splits,
            stages=self.in_flight(launch.num_stages or tiles.num_stages, selects),
            resident=self.resident(launch, launch.num_warps or tiles.num_warps, budget) or "auto",
            scratchpad_bytes=self.program_bytes(launch),
            order=self.order,
            pad_head_dim=self.pad_head_dim,
            pack_group=self.pack_group,
            combine=self.combine,
            step_cycles=code.step,
            once_cycles=code.once,
        )


def kernel_names() -> list[str]:
    """Names of the kernels that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_kernel(name: str | Path) -> Kernel:
    """The kernel of that name, or of that YAML file; raises WorkloadError, in one line, if it is none."""
    known = kernel_names()
    path = FOLDER / f"{name}.yaml" if str(name) in known else Path(name)
    if path.suffix not in (".yaml", ".yml"):
        close = difflib.get_close_matches(str(name), known, 1)
        mend = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
        raise WorkloadError(f"no kernel '{name}'; {mend}")
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise WorkloadError(f"{path.name}: cannot be read ({reason}); name one of {', '.join(known)}") from None
    except yaml.YAMLError as error:
        raise WorkloadError(f"{path.name}: not valid YAML ({' '.join(str(error).split())}); mend the line") from None
    if not isinstance(raw, dict):
        raise WorkloadError(f"{path.name}: expected a mapping of keys, got {type(raw).__name__}; begin with title:")
    try:
        return Kernel.model_validate({**raw, "name": path.stem})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the top"
        raise WorkloadError(
            f"{path.name}: {' '.join(first['msg'].removeprefix('Value error, ').split())} @ {where}; correct it"
        ) from None
