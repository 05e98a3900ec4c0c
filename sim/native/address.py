"""Arithmetic on addresses: hashes, and division by multiplication."""

from memgrain.sim.native.jit import inlined

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
def scramble(number):
    """32 bits of a number below 2**32, each of which depends on all of its own (the last step of MurmurHash3, by
    Appleby)."""
    mixed = number ^ (number >> 16)
    mixed = (mixed * 0x85EBCA6B) & 0xFFFFFFFF
    mixed ^= mixed >> 13
    mixed = (mixed * 0xC2B2AE35) & 0xFFFFFFFF
    return mixed ^ (mixed >> 16)


@inlined
def fold(line, bits, mask):
    """A line number whose low `bits` bits are xored with a hash of those above them; its own inverse. `mask` has these
    low bits set, or is 0, and then the number stays as it is.

    So every aligned block of 2**bits lines takes the same places, in an order of its own. Lines without a gap fill all
    sets alike, and rows at a regular stride fill them as rows at random do. An H200 does both
    (measurements/h200_strides.csv). The hashes of Intel's caches are built so: a base sequence, permuted by
    an xor for each block of memory (McCalpin, TACC TR-2021-03).
    """
    return line ^ (scramble(line >> bits) & mask)


def folding(sets, hashed):
    """Bits and mask with which `fold` prepares line numbers to choose one of so many sets; what is not `hashed` stays
    as it is. Sets are at least as many as places of a block, so that a block has no two lines for one set."""
    bits = sets.bit_length() - 1
    return bits, (1 << bits) - 1 if hashed else 0


def reciprocal(divisor):
    """Factor and shift that divide numbers below 2**31: `number * factor >> shift` is exact, and stays below 2**63
    (Granlund & Montgomery, PLDI 1994, theorem 4.2)."""
    shift = 31 + (divisor - 1).bit_length()
    return -(-(1 << shift) // divisor), shift
