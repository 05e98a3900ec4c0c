"""Terms that results, messages and documents use, each with one sentence; docs/glossary.md lists them."""

from __future__ import annotations

TERMS = {
    # what a kernel does
    "program": "The work of one thread block (GPU) or one block of an Ascend kernel: it runs on one core from start to "
    "end.",
    "step": "One iteration of a program: loads, up to two matrix products, exponentials, and stores.",
    "tile": "The part of K and V, or of a matrix, that one step loads and computes on.",
    "stage": "A buffer for a tile in the scratchpad; more stages let a program load further ahead.",
    "split": "A share of a sequence's context that one program reads in decode; partial outputs of splits are merged.",
    "wave": "As many programs as all cores hold at once; the last wave may fill only a part of the cores.",
    "slot": "Room for one program on a core; a core has as many as its scratchpad, registers or rules allow.",
    "resident": "A program that has a slot, or the number of slots of a core.",
    "trace": "The compressed description of a kernel's programs, steps and memory accesses in launch order.",
    "chunk": "A part of a trace, or of a prompt that is processed in several passes.",
    "run": "Pieces of memory of equal size, at a constant distance or given by an index list.",
    "gather": "Loads of rows whose addresses an index list or a block table gives.",
    "page": "Tokens of the KV cache that are contiguous in memory; the block table gives the pages of a sequence.",
    "prefill": "The phase that processes a prompt: many queries at once.",
    "decode": "The phase that generates tokens: one query, or a few drafts, for each sequence.",
    # memory
    "level": "A scratchpad, cache, link or memory on the path from a core to the DRAM.",
    "line": "The unit of a cache that has one tag.",
    "sector": "A part of a line with its own valid and dirty bits.",
    "granule": "The aligned bytes that a cache fetches, or a memory transfers, as a whole: `fill_granule` of a cache.",
    "set": "The lines of a cache among which an address may be placed.",
    "way": "A place for a line in a set; the number of ways is the associativity.",
    "partition": "A part of a cache with its own sets; a core may be nearer to one of them.",
    "slice": "A part of a partition that serves one request at a time.",
    "dirty": "Changed in a cache and not yet written to the memory. `--before dirty` begins with caches full of such "
    "lines, which must be written back.",
    "cold": "Empty, of caches when a kernel begins (`--before cold`, the default).",
    "eviction": "Removal of a line from a full set to make room for another.",
    "write-back": "The transfer of dirty granules to the level below.",
    "channel": "An independent part of a DRAM with its own command and data bus.",
    "bank": "A part of a channel that can have one row open.",
    "burst": "The bytes that a channel transfers for one column command.",
    "in flight": "Of loads: requested and not yet arrived.",
    "over-fetch": "Bytes fetched beyond those needed, since memories transfer whole granules.",
    # time
    "ps": "Picosecond, the unit of simulated time.",
    "breakdown": "Where the time went, as the mean over all slots; its parts add up to the time.",
    "stall": "Time that programs wait; the part behind the dot names what for.",
    "cause": "What a part of the time comes from, with the change that would reduce it and the gain at most.",
    "roofline": "Bounds of the throughput by levels' bandwidths and by units, over operational intensity.",
    "estimate": "The launcher's own time of a tiling, by which it chooses tiles and splits; not a result.",
    "tuned": "Of a point: simulated with the tilings of the best estimates, of which the fastest is the answer.",
    # how well a number is known
    "measured": "Kind of a number: from a microbenchmark that its source describes.",
    "provenance": "Origin of a number: its kind (measured, vendor, derived, assumed) and source; vendor: published by "
    "the chip's maker.",
    "derived": "Kind of a number: computed from measured or published ones.",
    "assumed": "Kind of a number: no source gives it; it has a range and a reason.",
    "override": "A number set by the user, with `--set KEY=VALUE`.",
    "not validated": "No measurement of this kernel, pattern, size and chip was compared with the simulator.",
    "bias": "The mean error of a group of measured rows, in percent of the measured time; negative: too fast.",
    "spread": "The standard deviation of those errors.",
    "interval": "Ends between which a figure lies in 9 of 10 cases, from the ranges of numbers and the model's error.",
    "point": "One chip, one workload and their overrides: what one simulation answers.",
}
