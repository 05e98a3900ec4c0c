"""The exception for a wrong request; those of the floors below are kinds of it."""


class MemgrainError(ValueError):
    """A request is invalid or a run cannot continue; the message is one line with the value, the rule and the mend."""
