"""The entries of a cache's book: its geometry, what a request carries along, and its tables.

The book is one int64 array, because an array costs a call seven arguments and a dispatch from Python 20 ns.
"""

(
    # geometry: sizes in bytes, their logarithms, sectors of a line and of a granule as bits, counts
    LINE_BITS,
    SECTOR,
    SECTOR_BITS,
    SECTORS,
    GRANULE,
    GRANULE_BITS,
    GRANULE_SECTORS,
    SETS,
    DIVIDE_FACTOR,
    DIVIDE_SHIFT,
    LIMIT,
    FOLD_BITS,
    FOLD_MASK,
    WAYS,
    POLICY,
    QUICK,
    # where in `sets` slots and notes begin, and what a set takes of either part; see `ways`
    SLOTS,
    NOTES,
    POSITIONS,
    WIDTH,
    # cohorts: lines of a grain, its logarithm, where in `sets` begins what is known of them; see `cohorts`
    GRAIN,
    GRAIN_BITS,
    COHORTS,
    ARRIVALS,
    # bundles: where in `sets` begins what is known of them, how many there may be, fewest lines of one (0: there are
    # none); see `bundles`
    BUNDLES,
    MEMBERS,
    SEEN,
    READ_AT,
    MARKS,
    TABLE,
    MOST_BUNDLES,
    FEWEST,
    # partitions and slices, times in ps, how writes are treated
    PARTITIONS,
    REPLICATE,
    PARTITION_SLICES,
    SECTOR_TIME,
    LATENCY,
    FAR_LATENCY,
    WRITE_BACK,
    WRITE_ALLOCATE,
    DIRTY_WAYS,
    # what a request carries along
    NOW,
    NEAR,
    SLICES,
    OUT,
    LAST_READ,
    LAST_END,
    DONE,
    LATEST,
    FETCHED,
    WAIT,
    NEXT,
    BEYOND,
    LINES,
    WITHIN,
    SEED,
    # where the tables begin whose length differs; lines that the last one, of what has been below, tells apart
    COUNTS_AT,
    EVICTED_AT,
    OWNERS,
    KNOWN_AT,
    KNOWN,
    # for each set of sectors of a line, the granules it has one of: a bit each, that of its first sector
    GRANULES,
) = range(62)
AFTER_GRANULES = GRANULES + 256
# a row of counts for each tensor
(
    READ_HITS,
    FAR_HITS,
    MISSES,
    WRITE_HITS,
    WRITE_MISSES,
    WRITEBACKS,
    SECTOR_LOOKUPS,
    SECTOR_HITS,
    READ_BYTES,
    WRITE_BYTES,
    FIRST_FETCHES,
    COUNTS,
) = range(12)
