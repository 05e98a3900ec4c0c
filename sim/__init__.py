"""What happens: cores, levels and DRAM channels in time. Reads no file, draws no picture."""

from memgrain.sim.breakdown.bounds import Bounds
from memgrain.sim.curves.curve import AXES, MOST_WAYS, Axis, Curve, count_lru, miss_ratio_curve
from memgrain.sim.curves.probe import Shape
from memgrain.sim.curves.read_causes import ReadCauses, read_causes
from memgrain.sim.errors import SimulationError
from memgrain.sim.metrics import METRICS, Metric
from memgrain.sim.reference.engine import Interval
from memgrain.sim.result import Result
from memgrain.sim.simulate import BEFORE, LOOPS, simulate, simulate_sequence
from memgrain.sim.version import MODEL_VERSION

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
