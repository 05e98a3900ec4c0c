"""The one exception of this package."""

from memgrain.errors import MemgrainError


class HardwareError(MemgrainError):
    """A chip description is wrong. The message names the value, the rule and the mend, in one line."""
