"""The one exception of this package."""


class SimulationError(ValueError):
    """A trace cannot run on a chip; the message names the value, the rule and the mend, in one line."""
