"""Searching designs: what may vary and what counts, trials in a study that goes on when run again, and the front."""

from __future__ import annotations

from codesign.explore.explored import Explored, Trial
from codesign.explore.pareto import front, hypervolume
from codesign.explore.spec import Search, load_search
from codesign.explore.study import explore
from codesign.shipped import search_names

__all__ = ["Explored", "Search", "Trial", "explore", "front", "hypervolume", "load_search", "search_names"]
