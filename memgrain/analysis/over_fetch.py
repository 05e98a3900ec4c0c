"""How much of what memory moves was asked for: bytes fetched ÷ needed by head dimension, element type, layout, granule.

By the closed formula of `memgrain.sim.levels.granules`, and held against the simulator, which counts lookups and bursts
and does not know it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from memgrain.errors import MemgrainError
from memgrain.hwmodels import Chip
from memgrain.sim import simulate
from memgrain.sim.levels.granules import fetched, granule_of
from memgrain.workloads import DType, Trace, element_bytes, gather, stream, stride

GRANULES = (32, 64, 128, 256, 512)
"""Granules of the map: from a sector of an NVIDIA L2 to a line of an Ascend's."""
HEAD_DIMS = (64, 80, 96, 112, 128, 192, 256)
DTYPES: tuple[DType, ...] = ("bf16", "fp8")
NZ_PIECE = 32
"""Bytes of a piece of a row in the Ascend's fractal order (16 elements of two bytes)."""
SIMULATED_BYTES = 1 << 21
"""Bytes that a simulation asks for at least."""
SIMULATED_PIECES = 512
"""Pieces that it asks for at least."""
BLOCK = 64
"""Rows of a program of a gathered trace."""
EXACT = 1e-9
"""Difference below which two shares of whole bytes are the same."""


@dataclass(frozen=True)
class MapRow:
    """A row of the map: what one head keeps of one token."""

    label: str
    """What people call it: '96', '656 B'."""
    bytes: int
    """Its size."""
    dtype: str
    """Its element type; empty for a row that is given in bytes."""


@dataclass(frozen=True)
class Read:
    """How a row is read: in pieces that lie `stride` bytes apart, with or without their neighbours."""

    bytes: int
    """Size of a piece."""
    stride: int
    """Bytes between the begins of neighbouring pieces, at least `bytes`; the first begins at a multiple of every
    granule."""
    pieces: int = 1
    """Pieces of a row, so far apart that they share no granule."""
    density: float = 0.0
    """Share of all pieces that is read: 0 for one whose neighbours are not, 1 for a stream; between, at random."""

    def ratio(self, granule: int, cached: bool = True) -> float:
        """Bytes fetched ÷ needed; see `memgrain.sim.levels.granules`. Raises MemgrainError if a row's own pieces share
        granules."""
        if self.pieces > 1 and self.stride % granule:
            raise MemgrainError(
                f"pieces {self.stride} B apart share granules of {granule} B; use a page of at least "
                f"{granule // math.gcd(granule, NZ_PIECE)} tokens, or layouts other than nz"
            )
        return fetched(self.bytes, self.stride, granule, self.density, cached) / self.bytes

    def trace(self, granule: int, programs: int) -> Trace:
        """Reads of this kind, as `programs` programs make them, over whole repeat periods for granules up to
        `granule`; its one tensor that is read is X."""
        period = granule // math.gcd(self.stride, granule)
        count = max(SIMULATED_PIECES, SIMULATED_BYTES // self.bytes)
        count = -(-count // period) * period
        if self.density >= 1:
            return stream(count * self.bytes, self.bytes, programs)
        if self.density:
            pool = round(count / self.density)
            return gather(count, self.bytes, self.stride, 0, pool, "sorted", BLOCK, 0, index_list=False)
        apart = -(-(self.bytes + granule) // self.stride) | 1
        return stride(count, self.bytes, apart * self.stride, programs)


@dataclass(frozen=True)
class LayoutOptions:
    """What layouts are asked with."""

    page: int = 16
    """Tokens of a page; 16 is vLLM's default."""
    tile: int = 64
    """Tokens of a tile; 64 is what tilings here are fitted to."""
    stride: int | None = None
    """Bytes between rows of the padded layout; None: the next power of two."""
    ratio: float = 0.05
    """Share of the tokens that the random layout reads."""

    def __post_init__(self) -> None:
        """Raises MemgrainError for what no layout can be."""
        for name, count in (("page", self.page), ("tile", self.tile), ("stride", self.stride)):
            if count is not None and count < 1:
                raise MemgrainError(f"{name} is {count}, must be at least 1; raise it")
        if not 0 < self.ratio < 1:
            raise MemgrainError(f"ratio is {self.ratio:g}, must lie between 0 and 1; 0.05 reads a token in twenty")


@dataclass(frozen=True)
class RowLayout:
    """How rows lie in memory and which of them are read."""

    title: Callable[[LayoutOptions], str]
    """What people call it."""
    read: Callable[[int, LayoutOptions], Read | None]
    """How a row of so many bytes is read; None where a row cannot lie so."""


LAYOUTS: dict[str, RowLayout] = {
    "rows": RowLayout(lambda terms: "rows, no neighbour", lambda row, terms: Read(row, row)),
    "random": RowLayout(
        lambda terms: f"rows, {100 * terms.ratio:g} % at random",
        lambda row, terms: Read(row, row, density=terms.ratio),
    ),
    "padded": RowLayout(
        lambda terms: f"rows padded to {f'{terms.stride} B' if terms.stride else 'a power of two'}",
        lambda row, terms: Read(row, _padded(row, terms.stride)),
    ),
    "nz": RowLayout(
        lambda terms: f"rows in NZ, page of {terms.page}",
        lambda row, terms: None if row % NZ_PIECE else Read(NZ_PIECE, terms.page * NZ_PIECE, row // NZ_PIECE),
    ),
    "page": RowLayout(
        lambda terms: f"whole pages of {terms.page}",
        lambda row, terms: Read(terms.page * row, terms.page * row),
    ),
    "tile": RowLayout(
        lambda terms: f"stream of tiles of {terms.tile}",
        lambda row, terms: Read(terms.tile * row, terms.tile * row, density=1.0),
    ),
}
"""The layouts of the map, by name. `rows` are adjacent rows of which a gather takes one and no neighbour, whether heads
lie apart or side by side; `nz` is the Ascend's fractal order, in which a token's row is pieces of 32 bytes."""


@dataclass(frozen=True)
class OverFetchCell:
    """A number of the map."""

    layout: str
    """Name of the layout."""
    row: MapRow
    """What is read."""
    granule: int
    """Bytes that the memory fetches at a time."""
    ratio: float | None
    """Bytes fetched ÷ needed, by the formula; None where such a row cannot lie so."""
    simulated: float | None = None
    """The same as the chip's levels counted it; None where no chip was asked."""

    @property
    def difference(self) -> float:
        """Simulation over formula, less one; 0 where there is nothing to compare."""
        return self.simulated / self.ratio - 1 if self.simulated and self.ratio else 0.0


def rows_of(head_dims: Sequence[int], dtypes: Sequence[str]) -> list[MapRow]:
    """The rows of head dimensions in some element types; raises MemgrainError for a type that has no size here."""
    known: dict[str, DType] = {name: name for name in ("bf16", "fp16", "fp8", "int8", "fp32")}
    for name in dtypes:
        if name not in known:
            raise MemgrainError(f"dtype '{name}' is none of {', '.join(known)}; choose one of them")
    return [MapRow(str(dim), dim * element_bytes(known[name]), name) for name in dtypes for dim in head_dims]


def over_fetch(
    rows: Sequence[MapRow],
    granules: Sequence[int],
    layouts: Sequence[str] = tuple(LAYOUTS),
    terms: LayoutOptions | None = None,
) -> list[OverFetchCell]:
    """The map by formula, a cell for each layout, row and granule; raises MemgrainError for values that are none."""
    terms = terms or LayoutOptions()
    return [
        OverFetchCell(name, row, granule, None if read is None else read.ratio(granule))
        for name, row, read in _reads(rows, layouts, terms)
        for granule in _granules(granules)
    ]


def on_chip(
    chip: Chip, rows: Sequence[MapRow], layouts: Sequence[str] = tuple(LAYOUTS), terms: LayoutOptions | None = None
) -> list[OverFetchCell]:
    """The map at the chip's own granule, by formula and by simulation."""
    terms, (_, granule) = terms or LayoutOptions(), granule_of(chip)
    counted: dict[Read, float] = {}
    cells = []
    for name, row, read in _reads(rows, layouts, terms):
        if read is None:
            cells.append(OverFetchCell(name, row, granule, None))
            continue
        if read not in counted:
            counted[read] = simulated(chip, read)
        cells.append(OverFetchCell(name, row, granule, read.ratio(granule, chip.cache is not None), counted[read]))
    return cells


def simulated(chip: Chip, read: Read) -> float:
    """Bytes fetched ÷ needed of reads of that kind, as the chip's DRAM counts bursts."""
    core = chip.matmul_core
    assert core.matmul is not None
    trace = read.trace(granule_of(chip)[1], core.count * (core.max_programs or 1))
    result = simulate(chip, replace(trace, dtype=next(iter(core.matmul.macs_per_cycle))))
    return result.counters[f"{result.dram}.X.read_bytes"] / trace.tensors[0].useful_bytes


def agreement(cells: Sequence[OverFetchCell]) -> str:
    """How far simulation and formula are apart, in a sentence."""
    asked = [cell for cell in cells if cell.simulated is not None]
    exact = [cell for cell in asked if abs(cell.difference) < EXACT]
    text = f"simulated as the formula says in {len(exact)} of {len(asked)} cells"
    if len(exact) == len(asked):
        return text
    worst = max(asked, key=lambda cell: abs(cell.difference))
    return f"{text}, {100 * worst.difference:+.2f} % at worst ({worst.layout}, {worst.row.label} {worst.row.dtype})"


def _reads(
    rows: Sequence[MapRow], layouts: Sequence[str], terms: LayoutOptions
) -> Iterator[tuple[str, MapRow, Read | None]]:
    """How each row is read in each layout; raises MemgrainError for a layout or a row that is none."""
    for row in rows:
        if row.bytes < 1:
            raise MemgrainError(f"row of {row.bytes} B ({row.label}) must have at least one byte; raise it")
    for name in layouts:
        if name not in LAYOUTS:
            raise MemgrainError(f"layout '{name}' is none of {', '.join(LAYOUTS)}; choose one of them")
        for row in rows:
            yield name, row, LAYOUTS[name].read(row.bytes, terms)


def _granules(granules: Sequence[int]) -> Sequence[int]:
    for granule in granules:
        if granule < 1 or granule & (granule - 1):
            raise MemgrainError(f"granule {granule} must be a power of two of bytes; round it")
    return granules


def _padded(row: int, stride: int | None) -> int:
    """The stride of padded rows."""
    if stride is None:
        return 1 << (row - 1).bit_length()
    if stride < row:
        raise MemgrainError(f"stride {stride} B is below the row of {row} B; raise it to {row} at least")
    return stride
