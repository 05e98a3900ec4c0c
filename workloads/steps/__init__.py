"""Kernels beside tiled attention: token selection, cache update, products, conversions, micro-traces."""
