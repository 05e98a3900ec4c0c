"""Models: layers, heads, caches and experts, one YAML file a model."""
