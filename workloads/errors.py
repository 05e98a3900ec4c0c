"""The one exception of this package."""

from memgrain.errors import MemgrainError


class WorkloadError(MemgrainError):
    """A workload is wrong, or does not fit this chip. The message names the value, the rule and the mend, in one
    line."""
