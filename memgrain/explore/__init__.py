"""Searching designs: what may vary and what counts, trials in a study that goes on when run again, and the front."""

from __future__ import annotations

from memgrain.explore.candidate_grid import GridBounds
from memgrain.explore.explored import Explored, Trial
from memgrain.explore.pareto import front, hypervolume
from memgrain.explore.solver import SolveQuery, SolveResult, best, solve
from memgrain.explore.spec import Search, load_search
from memgrain.explore.study import explore
from memgrain.runs.shipped import search_names

__all__ = [
    "Explored",
    "GridBounds",
    "Search",
    "SolveQuery",
    "SolveResult",
    "Trial",
    "best",
    "explore",
    "front",
    "hypervolume",
    "load_search",
    "search_names",
    "solve",
]
