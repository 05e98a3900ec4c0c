"""Shortcuts of the cache: whole groups of sets and whole runs at once, with the counts of line by line."""
