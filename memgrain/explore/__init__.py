"""Search over designs: the space, objectives and constraints; a resumable study of trials; the Pareto front; inverse
queries."""

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
