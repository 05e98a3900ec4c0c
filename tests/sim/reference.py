"""A cache in forty lines of dictionaries: slow, obvious, and written from the policies' definitions, not from the
compiled loop."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Line:
    """What a way holds."""

    valid: set[int] = field(default_factory=set)
    dirty: set[int] = field(default_factory=set)


@dataclass
class ReferenceCache:
    """One partition; LRU, FIFO, tree-PLRU and SRRIP. Counts requests per fill granule, as the simulator does."""

    line: int
    sector: int
    granule: int
    sets: int
    ways: int
    policy: str
    dirty_ways: int = 1 << 30
    """Lines of a set that may be dirty at a time."""
    hashed: bool = False
    """Whether sets are chosen by a hash of line numbers."""
    hits: int = 0
    misses: int = 0
    write_hits: int = 0
    write_misses: int = 0
    writebacks: int = 0
    first_fetches: int = 0
    """Granules fetched that were neither fetched nor written back before."""

    def __post_init__(self) -> None:
        self.below: set[tuple[int, int]] = set()
        self.content: list[dict[int, Line]] = [{} for _ in range(self.sets)]  # LRU, FIFO: oldest first; others: by way
        self.ways_of: list[list[int]] = [[] for _ in range(self.sets)]
        self.tree: list[list[bool]] = [
            [False] * self.ways for _ in range(self.sets)
        ]  # True: the victim is on the right
        self.rrpv: list[list[int]] = [[3] * self.ways for _ in range(self.sets)]

    def access(self, address: int, size: int, write: bool) -> None:
        """Access a contiguous piece, line by line."""
        for number in range(address // self.line, (address + size - 1) // self.line + 1):
            low, high = max(address, number * self.line), min(address + size, (number + 1) * self.line)
            self._line(number, low - number * self.line, high - number * self.line, write)

    def _line(self, number: int, low: int, high: int, write: bool) -> None:
        sectors = set(range(low // self.sector, (high - 1) // self.sector + 1))
        whole = {s for s in sectors if low <= s * self.sector and (s + 1) * self.sector <= high}
        group = self._set_of(number)
        content = self.content[group]
        present = number in content
        if not present:
            self._insert(group, number)
        self._touch(group, number, fill=not present)
        line, per = content[number], self.granule // self.sector
        asked = {s // per for s in sectors}
        lacking = {s // per for s in sectors - line.valid}
        if write:
            self.write_hits += len(asked - lacking)
            self.write_misses += len(lacking)
            line.valid |= whole
            lacking = {s // per for s in sectors - line.valid}
            line.dirty |= sectors
        else:
            self.hits += len(asked - lacking)
        self.misses += len(lacking)
        self.first_fetches += len({(number, g) for g in lacking} - self.below)
        self.below |= {(number, g) for g in lacking}
        line.valid |= {s for g in lacking for s in range(g * per, (g + 1) * per)}
        if write:
            self._limit_dirty(group, number)

    def _set_of(self, number: int) -> int:
        """The remainder of the number, whose place in a block of as many lines as fit the sets (a power of two) is
        xored with MurmurHash3's finalizer of the block if it is `hashed`."""
        if not self.hashed:
            return number % self.sets
        lines = 1
        while 2 * lines <= self.sets:
            lines *= 2
        block, place = divmod(number, lines)
        hashed = block
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
            hashed = (hashed ^ hashed >> shift) * factor % 2**32
        return (block * lines + (place ^ hashed % lines)) % self.sets

    def _insert(self, group: int, number: int) -> None:
        content, ways = self.content[group], self.ways_of[group]
        if len(ways) < self.ways:
            ways.append(number)
        else:
            way = ways.index(next(iter(content))) if self.policy in ("lru", "fifo") else self._victim(group)
            self._write_back(ways[way], content.pop(ways[way]))
            ways[way] = number
        content[number] = Line()

    def _write_back(self, number: int, line: Line) -> None:
        granules = {s // (self.granule // self.sector) for s in line.dirty}
        self.writebacks += len(granules)
        self.below |= {(number, g) for g in granules}
        line.dirty = set()

    def _limit_dirty(self, group: int, number: int) -> None:
        """Clean the oldest dirty line but `number` if there is one too many; the last way where there is no age."""
        content = self.content[group]
        order = list(content) if self.policy in ("lru", "fifo") else self.ways_of[group][::-1]
        dirty = [n for n in order if content[n].dirty]
        if len(dirty) > self.dirty_ways:
            oldest = next((n for n in dirty if n != number), number)
            self._write_back(oldest, content[oldest])

    def _touch(self, group: int, number: int, fill: bool) -> None:
        way = self.ways_of[group].index(number)
        if self.policy == "lru":
            self.content[group][number] = self.content[group].pop(number)
        elif self.policy == "srrip":
            self.rrpv[group][way] = 2 if fill else 0
        elif self.policy == "plru":
            node, low, high = 0, 0, self.ways
            while high - low > 1:
                middle = (low + high) // 2
                self.tree[group][node] = way < middle
                node, low, high = (2 * node + 1, low, middle) if way < middle else (2 * node + 2, middle, high)

    def _victim(self, group: int) -> int:
        if self.policy == "srrip":
            while 3 not in self.rrpv[group]:
                self.rrpv[group] = [value + 1 for value in self.rrpv[group]]
            return self.rrpv[group].index(3)
        node, low, high = 0, 0, self.ways
        while high - low > 1:
            middle = (low + high) // 2
            right = self.tree[group][node]
            node, low, high = (2 * node + 2, middle, high) if right else (2 * node + 1, low, middle)
        return low
