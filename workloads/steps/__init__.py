"""Kernels besides tiled attention: token selection, cache update, products, conversions, micro-traces."""
