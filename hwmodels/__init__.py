"""Specifications of chips, in YAML with units and sources. This package knows neither attention nor time."""

from memgrain.hwmodels.errors import HardwareError
from memgrain.hwmodels.load import ChipFile, Provenance, chip_names, load_chip, load_standard, read_chip, standard_names
from memgrain.hwmodels.main_memory import Dram
from memgrain.hwmodels.peaks import contradictions
from memgrain.hwmodels.spec import Cache, Chip, Core, Level, Link, Matmul, Scratchpad, Tile, Vector
from memgrain.hwmodels.standard import Constraint, DramStandard

__all__ = [
    "Cache",
    "Chip",
    "ChipFile",
    "Constraint",
    "Core",
    "Dram",
    "DramStandard",
    "HardwareError",
    "Level",
    "Link",
    "Matmul",
    "Provenance",
    "Scratchpad",
    "Tile",
    "Vector",
    "chip_names",
    "contradictions",
    "load_chip",
    "load_standard",
    "read_chip",
    "standard_names",
]
