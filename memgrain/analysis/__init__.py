"""Analyses of a design: miss-ratio curves, rooflines, over-fetch, prefetch, scaling, what-ifs, explanations of
names."""
