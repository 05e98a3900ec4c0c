"""The functions behind `import memgrain`: names and overrides go in, results and tidy frames come out.

Thin layers over the rooms below; the command line calls the same functions.
"""
