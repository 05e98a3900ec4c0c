"""Sort the words of a set by age, as LLVM vectors like `memgrain.sim.native.simd`. The host stalls when it reads
sixteen numbers as a vector that it has just written one by one, so one intrinsic does all, from gathering ages to
storing words.
"""

from typing import Any

from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

from memgrain.sim.native.simd import LANES

_WORD, _LONG = ir.IntType(32), ir.IntType(64)
_LANES = range(LANES)


def _vector(kind: Any, numbers: Any) -> Any:
    return ir.Constant(ir.VectorType(kind, LANES), list(numbers))


def _everywhere(builder: Any, number: Any) -> Any:
    """A vector of 16 times a number."""
    unknown = ir.Constant(ir.VectorType(number.type, LANES), ir.Undefined)
    first = builder.insert_element(unknown, number, ir.Constant(_WORD, 0))
    return builder.shuffle_vector(first, unknown, _vector(_WORD, [0] * LANES))


def _gather(builder: Any, pointer: Any, indices: Any) -> Any:
    """The words at these indices, as a vector of int64."""
    found = ir.Constant(ir.VectorType(_WORD, LANES), ir.Undefined)
    for lane in _LANES:
        index = builder.extract_element(indices, ir.Constant(_WORD, lane))
        word = builder.load(builder.gep(pointer, [index]), align=4)
        found = builder.insert_element(found, word, ir.Constant(_WORD, lane))
    return builder.sext(found, ir.VectorType(_LONG, LANES))


@intrinsic
def _sort_by_age(typing_context, array, base, ways, way_mask, members, read_at, since, bits):
    signature = types.int64(array, *[types.int64] * 7)

    def generate(context, builder, _, arguments):
        value, base, ways, way_mask, members, read_at, since, bits = arguments
        data = context.make_array(array)(context, builder, value).data
        short, long = ir.VectorType(_WORD, LANES), ir.VectorType(_LONG, LANES)
        words = builder.load(builder.bitcast(builder.gep(data, [base]), short.as_pointer()), align=4)
        used = builder.icmp_signed("<", _vector(_LONG, _LANES), _everywhere(builder, ways))
        way = builder.and_(builder.zext(words, long), _everywhere(builder, way_mask))
        way = builder.select(used, way, _vector(_LONG, [0] * LANES))
        notes = _gather(builder, builder.gep(data, [members]), way)
        width = _everywhere(builder, bits)
        then = _gather(builder, builder.gep(data, [read_at]), builder.ashr(notes, width))
        newer = builder.and_(used, builder.icmp_signed(">", then, _everywhere(builder, since)))
        some = builder.icmp_unsigned("!=", builder.bitcast(newer, ir.IntType(LANES)), ir.IntType(LANES)(0))
        with builder.if_then(some):
            one = _vector(_LONG, [1] * LANES)
            position = builder.and_(notes, builder.sub(builder.shl(one, width), one))
            age = builder.add(builder.or_(builder.shl(then, width), position), _vector(_LONG, [LANES] * LANES))
            age = builder.select(newer, age, _vector(_LONG, range(LANES - 1, -1, -1)))
            rank = _vector(_LONG, [0] * LANES)
            for lane in _LANES:
                other = builder.shuffle_vector(age, age, _vector(_WORD, [lane] * LANES))
                rank = builder.sub(rank, builder.sext(builder.icmp_signed(">", other, age), long))
            for lane in _LANES:
                at = ir.Constant(_WORD, lane)
                target = builder.gep(data, [builder.add(base, builder.extract_element(rank, at))])
                builder.store(builder.extract_element(words, at), target, align=4)
        return builder.zext(some, _LONG)

    return signature, generate


def _sort_in_python(array, base, ways, way_mask, members, read_at, since, bits):
    words, ages = [int(word) for word in array[base : base + ways]], []
    for at, word in enumerate(words):
        note = int(array[members + (word & way_mask)])
        then = int(array[read_at + (note >> bits)])
        ages.append((1, then, note & ((1 << bits) - 1)) if then > since else (0, -at, 0))
    order = sorted(range(ways), key=ages.__getitem__, reverse=True)
    array[base : base + ways] = [words[at] for at in order]
    return order != list(range(ways))


sort_by_age = _sort_in_python if config.DISABLE_JIT else _sort_by_age
"""`sort_by_age(array, base, ways, way_mask, members, read_at, since, bits)`: sort the first `ways` words from
`base` on.

Words whose run was read after `since` come first: those of the run read last before others, and within a run the last
position first. The others keep their order behind them. The note of a word is at `members` plus its way (its part under
`way_mask`). It has the position in its low `bits` and the number of the run above them; the run was read last at the
clock that stands at `read_at` plus that number."""
