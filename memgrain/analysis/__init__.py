"""What a design's figures mean: curves, roofs, over-fetch, prefetch, scaling, what-ifs, explanations of names."""
