"""The one exception of this package."""


class HardwareError(ValueError):
    """A chip description is wrong. The message names the value, the rule and the mend, in one line."""
