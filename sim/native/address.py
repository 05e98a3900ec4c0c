"""Arithmetic on addresses: hashes, and division by multiplication."""

from memgrain.sim.native.jit import inlined

GOLDEN = 0x9E3779B97F4A7C1
"""2**60 divided by the golden ratio: the step of the product that `middle` hashes, from a number to the next."""


@inlined
def mix(number):
    """A well-spread 31-bit hash of a line or row number (Fibonacci hashing: Knuth, TAOCP 3, section 6.4)."""
    return middle(int(number) * GOLDEN)


@inlined
def middle(product):
    """The 31 bits of a product that serve as its hash."""
    return (product >> 24) & 0x7FFFFFFF


@inlined
def scale(number, size):
    """A 31-bit hash as a number below `size`, without a division (Lemire, ACM TOMACS 29(1), 2019)."""
    return (number * size) >> 31


@inlined
def scramble(number):
    """A hash of a number below 2**32 in which each bit depends on all bits (MurmurHash3's finalizer, by Appleby)."""
    number = int(number)  # in plain Python, an int64 of NumPy would overflow
    mixed = number ^ (number >> 16)
    mixed = (mixed * 0x85EBCA6B) & 0xFFFFFFFF
    mixed ^= mixed >> 13
    mixed = (mixed * 0xC2B2AE35) & 0xFFFFFFFF
    return mixed ^ (mixed >> 16)


@inlined
def fold(line, bits, mask):
    """A line number whose low `bits` bits are xored with a hash of the bits above them; its own inverse. `mask` has
    these low bits set; with mask 0 the number stays as it is.

    Every aligned block of 2**bits lines is permuted in an order of its own. So contiguous lines fill all sets evenly,
    and rows at a regular stride fill them as random rows do. An H200 does both
    (measurements/h200_strides.csv). The hashes of Intel's caches are built so: a base sequence, permuted by
    an xor for each block of memory (McCalpin, TACC TR-2021-03).
    """
    return line ^ (scramble(line >> bits) & mask)


def folding(sets, hashed):
    """Bits and mask of `fold` for a cache of so many sets; the mask is 0 unless sets are `hashed`. A block has no more
    lines than there are sets, so that no two of its lines share a set."""
    bits = sets.bit_length() - 1
    return bits, (1 << bits) - 1 if hashed else 0


def reciprocal(divisor):
    """Factor and shift that divide numbers below 2**31: `number * factor >> shift` is exact, and stays below 2**63
    (Granlund & Montgomery, PLDI 1994, theorem 4.2)."""
    shift = 31 + (divisor - 1).bit_length()
    return -(-(1 << shift) // divisor), shift
