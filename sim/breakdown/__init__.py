"""Where the time went, what bounds it and what to change: all from a result's counters."""
