"""A cache level: configuration, state and the loops that look lines up."""
