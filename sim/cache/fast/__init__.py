"""Fast paths of the cache: they change no count and no time, and `fast_paths=False` turns them off.

`quick` serves the most common cases of a single line. `set_groups` and `line_blocks` simulate adjacent sets with an
identical history once, through one representative. `resident_runs` and `all_hit` answer a run at once whose lines are
all in the cache.
"""
