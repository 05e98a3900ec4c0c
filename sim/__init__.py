"""What happens: cores, levels and DRAM channels in time. Reads no file, draws no picture."""

from sim.bounds import Bounds
from sim.core import Interval
from sim.errors import SimulationError
from sim.metrics import METRICS, Metric
from sim.result import Result
from sim.simulate import BEFORE, simulate, simulate_sequence
from sim.version import MODEL_VERSION

__all__ = [
    "BEFORE",
    "METRICS",
    "MODEL_VERSION",
    "Bounds",
    "Interval",
    "Metric",
    "Result",
    "SimulationError",
    "simulate",
    "simulate_sequence",
]
