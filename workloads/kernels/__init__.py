"""Implementations of attention: descriptions by name, tiles, splits, launchers, the programs that they run."""
