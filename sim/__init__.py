"""The simulator: cores, levels and DRAM channels in time. It reads no file and draws no picture."""

from memgrain.sim.breakdown.bounds import Bounds
from memgrain.sim.curves.curve import AXES, MOST_WAYS, Axis, Curve, count_lru, miss_ratio_curve
from memgrain.sim.curves.probe import CacheShape
from memgrain.sim.curves.read_causes import ReadCauses, read_causes
from memgrain.sim.engine_protocol import Activity
from memgrain.sim.errors import SimulationError
from memgrain.sim.levels.peaks import LevelPeak, level_peaks, matmul_peak
from memgrain.sim.metrics import METRICS, Metric
from memgrain.sim.result import Result
from memgrain.sim.simulate import BEFORE, LOOPS, Before, simulate, simulate_sequence
from memgrain.sim.version import MODEL_VERSION

__all__ = [
    "AXES",
    "BEFORE",
    "LOOPS",
    "METRICS",
    "MODEL_VERSION",
    "MOST_WAYS",
    "Activity",
    "Axis",
    "Before",
    "Bounds",
    "CacheShape",
    "Curve",
    "LevelPeak",
    "Metric",
    "ReadCauses",
    "Result",
    "SimulationError",
    "count_lru",
    "level_peaks",
    "matmul_peak",
    "miss_ratio_curve",
    "read_causes",
    "simulate",
    "simulate_sequence",
]
