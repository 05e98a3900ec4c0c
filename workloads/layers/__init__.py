"""Layers of a model on one chip: kernels, and exchanges between chips."""
