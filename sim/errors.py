"""The one exception of this package."""

from memgrain.errors import MemgrainError


class SimulationError(MemgrainError):
    """A trace cannot run on a chip; the message names the value, the rule and the mend, in one line."""
