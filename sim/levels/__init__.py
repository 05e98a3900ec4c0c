"""Levels of memory and compute units as components, wired into a machine."""
