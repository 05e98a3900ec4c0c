"""The one exception of this package."""


class MemgrainError(ValueError):
    """A question cannot be asked or a sweep cannot go on; one line that names the value, the rule and the mend."""
