"""`python -m memgrain` runs the command."""

from memgrain.cli import main

main()
