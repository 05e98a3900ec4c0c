"""What happens: cores, levels and DRAM channels in time. Reads no file, draws no picture."""

from sim.bounds import Bounds
from sim.core import Interval
from sim.curve import AXES, MOST_WAYS, Axis, Curve, count_lru, miss_ratio_curve
from sim.errors import SimulationError
from sim.metrics import METRICS, Metric
from sim.read_causes import ReadCauses, read_causes
from sim.result import Result
from sim.simulate import BEFORE, LOOPS, simulate, simulate_sequence
from sim.tap import Shape
from sim.version import MODEL_VERSION

__all__ = [
    "AXES",
    "BEFORE",
    "LOOPS",
    "METRICS",
    "MODEL_VERSION",
    "MOST_WAYS",
    "Axis",
    "Bounds",
    "Curve",
    "Interval",
    "Metric",
    "ReadCauses",
    "Result",
    "Shape",
    "SimulationError",
    "count_lru",
    "miss_ratio_curve",
    "read_causes",
    "simulate",
    "simulate_sequence",
]
