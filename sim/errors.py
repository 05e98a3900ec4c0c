"""The one exception of this package."""

from memgrain.errors import MemgrainError


class SimulationError(MemgrainError):
    """A chip and a trace do not go together; the message names the value, the rule and the mend, in one line."""
