"""SIMD vector operations on sixteen adjacent int32 of an array, and operations on the bits of a number.

Numba has no vectors and LLVM does not vectorize these loops, so they are written as LLVM vectors. Where the host has no
vectors of 512 bits, LLVM splits each into two or four. Under NUMBA_DISABLE_JIT=1 they are plain Python.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
_WORD, _LONG = ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_WORD, LANES)
_UNKNOWN = ir.Constant(_VECTOR, ir.Undefined)


def _in_all_lanes(builder: Any, number: Any) -> Any:
    """A vector of 16 times the low 32 bits of `number`."""
    first = builder.insert_element(_UNKNOWN, builder.trunc(number, _WORD), ir.Constant(_WORD, 0))
    return builder.shuffle_vector(first, _UNKNOWN, ir.Constant(_VECTOR, [0] * LANES))


def _pointer(context: Any, builder: Any, array: Any, value: Any, first: Any) -> Any:
    """Pointer to the vector that begins at entry `first` of an array."""
    data = context.make_array(array)(context, builder, value).data
    return builder.bitcast(builder.gep(data, [first]), _VECTOR.as_pointer())


@intrinsic
def _match(typing_context, array, first, key, mask):
    signature = types.int64(array, types.int64, types.int64, types.int64)

    def generate(context, builder, _, arguments):
        value, first, key, mask = arguments
        words = builder.load(_pointer(context, builder, array, value, first), align=4)
        words = builder.and_(words, _in_all_lanes(builder, mask))
        equal = builder.icmp_signed("==", words, _in_all_lanes(builder, key))
        return builder.zext(builder.bitcast(equal, ir.IntType(LANES)), _LONG)

    return signature, generate


@intrinsic
def _push(typing_context, array, first, position, word):
    signature = types.void(array, types.int64, types.int64, types.int64)

    def generate(context, builder, _, arguments):
        value, first, position, word = arguments
        pointer = _pointer(context, builder, array, value, first)
        words = builder.load(pointer, align=4)
        one_on = ir.Constant(_VECTOR, [LANES, *range(LANES - 1)])
        moved = builder.shuffle_vector(words, _in_all_lanes(builder, word), one_on)
        # a table, not a comparison: LLVM would compile that to a masked store, which takes 12 cycles or more on AMD
        # hosts and forwards nothing to the next load
        bits = ir.Constant(ir.ArrayType(_WORD, 2 * LANES), [-1] * LANES + [0] * LANES)
        table = builder.bitcast(cgutils.global_constant(builder, "moves", bits), _WORD.as_pointer())
        window = builder.gep(table, [builder.sub(ir.Constant(_LONG, LANES - 1), position)])
        moves = builder.load(builder.bitcast(window, _VECTOR.as_pointer()), align=4)
        change = builder.and_(builder.xor(words, moved), moves)
        builder.store(builder.xor(words, change), pointer, align=4)
        return context.get_dummy_value()

    return signature, generate


def _of_bits(name: str, *flags: int) -> Callable[[int], int]:
    """LLVM's function of that name on 64 bits."""

    @intrinsic
    def call(typing_context, number):
        def generate(context, builder, _, arguments):
            extra = [ir.Constant(ir.IntType(1), flag) for flag in flags]
            kind = ir.FunctionType(_LONG, [_LONG, *(flag.type for flag in extra)])
            function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.i64")
            return builder.call(function, [*arguments, *extra])

        return types.int64(types.int64), generate

    return call


def _match_in_python(array, first, key, mask):
    return sum(1 << i for i in range(LANES) if int(array[first + i]) & mask == key)


def _push_in_python(array, first, position, word):
    array[first + 1 : first + position + 1] = array[first : first + position].copy()
    array[first] = word


def _lowest_in_python(number):
    return (int(number) & -int(number)).bit_length() - 1


def _population_in_python(number):
    return int(number).bit_count()


_plain = config.DISABLE_JIT
match = _match_in_python if _plain else _match
"""`match(array, first, key, mask)`: a bit for each of the 16 entries from `first` on that equals `key` under `mask`."""
push = _push_in_python if _plain else _push
"""`push(array, first, position, word)`: insert `word` before the 16 entries from `first` on; those before `position`
move back by one."""
lowest = _lowest_in_python if _plain else _of_bits("cttz", 1)
"""`lowest(number)`: position of the lowest bit that is set; one must be."""
population = _population_in_python if _plain else _of_bits("ctpop")
"""`population(number)`: how many bits are set."""
