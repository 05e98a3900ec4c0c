"""The event loop in SimPy processes: the reference for the compiled one."""
