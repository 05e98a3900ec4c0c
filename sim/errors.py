"""The one exception of this package."""


class SimulationError(ValueError):
    """A chip and a trace do not go together; the message names the value, the rule and the mend, in one line."""
