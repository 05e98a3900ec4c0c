"""Arithmetic on addresses: hashes, and division by multiplication."""

from sim.compiled.jit import inlined

GOLDEN = 0x9E3779B97F4A7C1
"""The golden ratio's part of 2**60: by this much grows what `middle` takes a hash of from a number to the next."""


@inlined
def mix(number):
    """A well-spread 31-bit hash of a line or row number (Fibonacci hashing: Knuth, TAOCP 3, section 6.4)."""
    return middle(int(number) * GOLDEN)


@inlined
def middle(product):
    """The 31 bits of a product that are its hash."""
    return (product >> 24) & 0x7FFFFFFF


@inlined
def scale(number, size):
    """A 31-bit hash as a number below `size`, without a division (Lemire, ACM TOMACS 29(1), 2019)."""
    return (number * size) >> 31


@inlined
def fold(line):
    """All bits of a line number below 2**31 folded together; one-to-one, see `unfold`."""
    return line ^ (line >> 8) ^ (line >> 16) ^ (line >> 24)


@inlined
def unfold(folded):
    """The line that `fold` made this of."""
    return folded ^ (folded >> 8)


def reciprocal(divisor):
    """Factor and shift that divide numbers below 2**31: `number * factor >> shift` is exact, and stays below 2**63
    (Granlund & Montgomery, PLDI 1994, theorem 4.2)."""
    shift = 31 + (divisor - 1).bit_length()
    return -(-(1 << shift) // divisor), shift
