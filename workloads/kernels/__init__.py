"""Implementations of attention: kernel descriptions, tiles, splits, launchers, and the programs that they run."""
