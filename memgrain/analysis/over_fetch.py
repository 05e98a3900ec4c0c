"""Over-fetch: bytes fetched ÷ bytes needed by head dimension, element type, layout and access granularity.

The ratio follows from the closed formula of `memgrain.sim.levels.granules` and is compared with the simulator, which
counts lookups and bursts independently of it.
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
"""Access granularities of the map in bytes: from a sector of an NVIDIA L2 to a line of an Ascend's."""
HEAD_DIMS = (64, 80, 96, 112, 128, 192, 256)
DTYPES: tuple[DType, ...] = ("bf16", "fp8")
NZ_PIECE = 32
"""Bytes of a row fragment in the Ascend's fractal order (16 elements of two bytes)."""
SIMULATED_BYTES = 1 << 21
"""Minimum number of bytes requested by a simulation."""
SIMULATED_PIECES = 512
"""Minimum number of fragments requested by a simulation."""
BLOCK = 64
"""Rows per program of a gathered trace."""
EXACT = 1e-9
"""Relative difference below which two ratios count as equal."""


@dataclass(frozen=True)
class MapRow:
    """A row of the map: the data of one head and one token."""

    label: str
    """Label, such as '96' or '656 B'."""
    bytes: int
    """Size."""
    dtype: str
    """Element type; empty for a row given in bytes."""


@dataclass(frozen=True)
class Read:
    """Access pattern of a row: fragments at a distance of `stride` bytes, with or without their neighbours."""

    bytes: int
    """Size of a fragment."""
    stride: int
    """Distance between the starts of neighbouring fragments, at least `bytes`. The first one is aligned to every
    granularity."""
    pieces: int = 1
    """Fragments of a row, which share no granule."""
    density: float = 0.0
    """Fraction of all fragments that is read: 0 for isolated ones, 1 for a stream, in between for a random
    selection."""

    def ratio(self, granule: int, cached: bool = True) -> float:
        """Bytes fetched ÷ bytes needed; see `memgrain.sim.levels.granules`. Raises MemgrainError if fragments of one
        row share granules."""
        if self.pieces > 1 and self.stride % granule:
            raise MemgrainError(
                f"pieces {self.stride} B apart share granules of {granule} B; use a page of at least "
                f"{granule // math.gcd(granule, NZ_PIECE)} tokens, or layouts other than nz"
            )
        return fetched(self.bytes, self.stride, granule, self.density, cached) / self.bytes

    def trace(self, granule: int, programs: int) -> Trace:
        """A trace of such reads by `programs` programs, over whole alignment periods for granularities up to `granule`.
        The tensor that is read is X."""
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
    """Options of the layouts."""

    page: int = 16
    """Tokens per page; 16 is vLLM's default."""
    tile: int = 64
    """Tokens per tile; the tilings here are fitted to 64."""
    stride: int | None = None
    """Bytes between rows of the padded layout; None: the next power of two."""
    ratio: float = 0.05
    """Fraction of the tokens that the random layout reads."""

    def __post_init__(self) -> None:
        """Raise MemgrainError for invalid options."""
        for name, count in (("page", self.page), ("tile", self.tile), ("stride", self.stride)):
            if count is not None and count < 1:
                raise MemgrainError(f"{name} is {count}, must be at least 1; raise it")
        if not 0 < self.ratio < 1:
            raise MemgrainError(f"ratio is {self.ratio:g}, must lie between 0 and 1; 0.05 reads a token in twenty")


@dataclass(frozen=True)
class RowLayout:
    """Placement of rows in memory, and which of them are read."""

    title: Callable[[LayoutOptions], str]
    """Title of the layout with these options."""
    read: Callable[[int, LayoutOptions], Read | None]
    """Access pattern of a row of that many bytes; None if the layout does not apply to it."""


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
"""The layouts of the map, by name. `rows` are adjacent rows of which a gather reads isolated ones, whether heads are
separate or interleaved; `nz` is the Ascend's fractal order, in which a token's row consists of fragments of 32
bytes."""


@dataclass(frozen=True)
class OverFetchCell:
    """A cell of the map."""

    layout: str
    """Name of the layout."""
    row: MapRow
    """Row that is read."""
    granule: int
    """Access granularity in bytes."""
    ratio: float | None
    """Bytes fetched ÷ bytes needed by the formula; None if the layout does not apply to the row."""
    simulated: float | None = None
    """The same ratio from the counters of a chip's simulation; None without a chip."""

    @property
    def difference(self) -> float:
        """Simulated ratio ÷ formula - 1; 0 if one of them is missing."""
        return self.simulated / self.ratio - 1 if self.simulated and self.ratio else 0.0


def rows_of(head_dims: Sequence[int], dtypes: Sequence[str]) -> list[MapRow]:
    """The rows of these head dimensions and element types. Raises MemgrainError for an unknown type."""
    known: dict[str, DType] = {name: name for name in ("bf16", "fp16", "fp8", "int8", "fp32")}
    for name in dtypes:
        if name not in known:
            raise MemgrainError(f"dtype '{name}' is none of {', '.join(known)}; choose one of them")
    return [MapRow(str(dim), dim * element_bytes(known[name]), name) for name in dtypes for dim in head_dims]


def over_fetch_map(
    rows: Sequence[MapRow],
    granules: Sequence[int],
    layouts: Sequence[str] = tuple(LAYOUTS),
    terms: LayoutOptions | None = None,
) -> list[OverFetchCell]:
    """The map by formula, one cell per layout, row and granularity. Raises MemgrainError for invalid values."""
    terms = terms or LayoutOptions()
    return [
        OverFetchCell(name, row, granule, None if read is None else read.ratio(granule))
        for name, row, read in _reads(rows, layouts, terms)
        for granule in _granules(granules)
    ]


def on_chip(
    chip: Chip, rows: Sequence[MapRow], layouts: Sequence[str] = tuple(LAYOUTS), terms: LayoutOptions | None = None
) -> list[OverFetchCell]:
    """The map at the chip's own granularity, by formula and by simulation."""
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
    """Bytes fetched ÷ bytes needed of an access pattern, from the bursts that the chip's DRAM counts."""
    core = chip.matmul_core
    assert core.matmul is not None
    trace = read.trace(granule_of(chip)[1], core.count * (core.max_programs or 1))
    result = simulate(chip, replace(trace, dtype=next(iter(core.matmul.macs_per_cycle))))
    return result.counters[f"{result.dram}.X.read_bytes"] / trace.tensors[0].useful_bytes


def agreement(cells: Sequence[OverFetchCell]) -> str:
    """A sentence on the agreement of simulation and formula."""
    compared = [cell for cell in cells if cell.simulated is not None]
    exact = [cell for cell in compared if abs(cell.difference) < EXACT]
    text = f"simulated as the formula says in {len(exact)} of {len(compared)} cells"
    if len(exact) == len(compared):
        return text
    worst = max(compared, key=lambda cell: abs(cell.difference))
    return f"{text}, {100 * worst.difference:+.2f} % at worst ({worst.layout}, {worst.row.label} {worst.row.dtype})"


def _reads(
    rows: Sequence[MapRow], layouts: Sequence[str], terms: LayoutOptions
) -> Iterator[tuple[str, MapRow, Read | None]]:
    """The access pattern of each row in each layout. Raises MemgrainError for an unknown layout or an empty row."""
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
    """Stride of padded rows."""
    if stride is None:
        return 1 << (row - 1).bit_length()
    if stride < row:
        raise MemgrainError(f"stride {stride} B is below the row of {row} B; raise it to {row} at least")
    return stride
