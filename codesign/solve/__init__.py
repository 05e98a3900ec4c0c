"""Inverse questions: the smallest or largest value of a key for which a condition holds, or the best one."""

from __future__ import annotations

from codesign.solve.lattice import Bounds, Lattice, lattice
from codesign.solve.solver import Answer, Question, Tried, best, solve

__all__ = ["Answer", "Bounds", "Lattice", "Question", "Tried", "best", "lattice", "solve"]
