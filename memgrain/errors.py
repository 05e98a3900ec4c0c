"""The exception of the rooms above the simulator."""


class MemgrainError(ValueError):
    """A request is invalid or a run cannot continue; the message is one line with the value, the rule and the mend."""
