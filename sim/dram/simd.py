"""One or four neighbouring int64 of an array as one vector of the host, so that one loop serves one channel and four.

`one(number)` and `four(number)` make a vector of a number; results computed with it have the same width. Comparisons
give masks, for `pick`. Numba has no vectors of its own, so these are vectors of LLVM, which splits them where the host
has none of 256 bits; a vector of one lane is a plain number of the host. Under NUMBA_DISABLE_JIT=1 they are arrays of
NumPy.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core.datamodel import models
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, register_model

_LONG = ir.IntType(64)


class LanesType(types.Type):
    """Numba's type of a vector; a mask is one of numbers that are -1 or 0."""

    def __init__(self, width: int) -> None:
        super().__init__(name=f"Lanes({width})")
        self.width = width
        self.vector = ir.VectorType(_LONG, width)


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: LanesType) -> None:
        super().__init__(dmm, fe_type, fe_type.vector)


def _spread(builder: Any, number: Any, kind: LanesType) -> Any:
    """A vector with `number` in all lanes."""
    unknown = ir.Constant(kind.vector, ir.Undefined)
    first = builder.insert_element(unknown, number, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), kind.width), [0] * kind.width)
    return builder.shuffle_vector(first, unknown, zeros)


def _operand(context: Any, builder: Any, value: Any, given: Any, kind: LanesType) -> Any:
    """A vector as it is, a number in all lanes."""
    if isinstance(given, LanesType):
        return value
    return _spread(builder, context.cast(builder, value, given, types.int64), kind)


def _binary(function: Any, generate: Callable[[Any, Any, Any], Any]) -> None:
    """Teach Numba `function` of two vectors, or of a vector and a number."""

    class Template(AbstractTemplate):
        def generic(self, arguments: Any, keywords: Any) -> Any:
            left, right = arguments
            wide = next((kind for kind in arguments if isinstance(kind, LanesType)), None)
            if wide and all(kind == wide or isinstance(kind, types.Integer) for kind in (left, right)):
                return signature(wide, left, right)
            return None

    infer_global(function)(Template)

    def lower(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        kind = sig.return_type
        left, right = (
            _operand(context, builder, value, given, kind) for value, given in zip(arguments, sig.args, strict=True)
        )
        return generate(builder, left, right)

    for pair in ((LanesType, LanesType), (LanesType, types.Integer), (types.Integer, LanesType)):
        lower_builtin(function, *pair)(lower)


def _compare(relation: str) -> Callable[[Any, Any, Any], Any]:
    return lambda builder, left, right: builder.sext(builder.icmp_signed(relation, left, right), left.type)


_binary(operator.add, lambda builder, left, right: builder.add(left, right))
_binary(operator.sub, lambda builder, left, right: builder.sub(left, right))
_binary(operator.and_, lambda builder, left, right: builder.and_(left, right))
_binary(operator.or_, lambda builder, left, right: builder.or_(left, right))
for _function, _relation in (
    (operator.eq, "=="),
    (operator.ne, "!="),
    (operator.gt, ">"),
    (operator.ge, ">="),
):
    _binary(_function, _compare(_relation))


def _is_set(builder: Any, mask: Any) -> Any:
    """A mask as bits."""
    return builder.icmp_signed("<", mask, ir.Constant(mask.type, None))


def _of_width(width: int) -> Callable[[Any], Any]:
    @intrinsic
    def spread(typing_context, number):
        kind = LanesType(width)

        def generate(context, builder, sig, arguments):
            return _operand(context, builder, arguments[0], sig.args[0], kind)

        return kind(number), generate

    return spread


def _pointer(context: Any, builder: Any, array: Any, value: Any, first: Any, kind: LanesType) -> Any:
    """Where the vector lies that begins at entry `first` of an array."""
    data = context.make_array(array)(context, builder, value).data
    return builder.bitcast(builder.gep(data, [first]), kind.vector.as_pointer())


@intrinsic
def _load(typing_context, array, first, like):
    def generate(context, builder, _, arguments):
        # frozen, or LLVM makes masked stores of what `pick` leaves as it was, each some forty instructions on a Zen
        loaded = builder.load(_pointer(context, builder, array, arguments[0], arguments[1], like), align=8)
        frozen = ir.Instruction(builder.block, like.vector, "freeze", [loaded])
        builder._insert(frozen)
        return frozen

    return like(array, types.int64, like), generate


@intrinsic
def _store(typing_context, array, first, lanes):
    def generate(context, builder, _, arguments):
        pointer = _pointer(context, builder, array, arguments[0], arguments[1], lanes)
        builder.store(arguments[2], pointer, align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, lanes), generate


@intrinsic
def _later(typing_context, left, right):
    kind = left if isinstance(left, LanesType) else right

    def generate(context, builder, sig, arguments):
        left, right = (
            _operand(context, builder, value, given, kind) for value, given in zip(arguments, sig.args, strict=True)
        )
        return builder.select(builder.icmp_signed(">", left, right), left, right)

    return kind(left, right), generate


@intrinsic
def _pick(typing_context, mask, left, right):
    def generate(context, builder, sig, arguments):
        left, right = (
            _operand(context, builder, value, given, mask)
            for value, given in zip(arguments[1:], sig.args[1:], strict=True)
        )
        return builder.select(_is_set(builder, arguments[0]), left, right)

    return mask(mask, left, right), generate


@intrinsic
def _bits(typing_context, mask):
    def generate(context, builder, _, arguments):
        found = builder.bitcast(_is_set(builder, arguments[0]), ir.IntType(mask.width))
        return builder.zext(found, _LONG)

    return types.int64(mask), generate


@intrinsic
def _names(typing_context, lanes, number):
    def generate(context, builder, _, arguments):
        short, word = ir.VectorType(ir.IntType(16), 4 * lanes.width), ir.IntType(16)
        number = builder.trunc(arguments[1], word)
        unknown = ir.Constant(short, ir.Undefined)
        first = builder.insert_element(unknown, number, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), 4 * lanes.width), [0] * (4 * lanes.width))
        key = builder.shuffle_vector(first, unknown, zeros)
        equal = builder.icmp_signed("==", builder.bitcast(arguments[0], short), key)
        found = builder.bitcast(builder.sext(equal, short), lanes.vector)
        zero = ir.Constant(lanes.vector, None)
        return builder.sext(builder.icmp_signed("!=", found, zero), lanes.vector)

    return lanes(lanes, types.int64), generate


@intrinsic
def _lane(typing_context, lanes, number):
    def generate(context, builder, _, arguments):
        return builder.extract_element(*arguments)

    return types.int64(lanes, types.int64), generate


@intrinsic
def _width(typing_context, lanes):
    def generate(context, builder, _, arguments):
        return ir.Constant(_LONG, lanes.width)

    return types.int64(lanes), generate


def _load_in_python(array, first, like):
    return array[int(first) : int(first) + len(like)].copy()


def _store_in_python(array, first, lanes):
    array[int(first) : int(first) + len(lanes)] = lanes


def _names_in_python(lanes, number):
    return (lanes.view(np.uint16).reshape(-1, 4) == number & 0xFFFF).any(axis=1)


_plain = config.DISABLE_JIT
one: Any = (lambda number: np.full(1, number)) if _plain else _of_width(1)
four: Any = (lambda number: np.full(4, number)) if _plain else _of_width(4)
load = _load_in_python if _plain else _load
"""`load(array, first, like)`: the entries from `first` on, as many as `like` is wide."""
store = _store_in_python if _plain else _store
"""`store(array, first, lanes)`: write the entries from `first` on."""
later: Any = np.maximum if _plain else _later
"""`later(left, right)`: the larger one, lane by lane."""
pick: Any = np.where if _plain else _pick
"""`pick(mask, left, right)`: `left` in lanes where the mask is set, `right` in the others."""
bits: Any = (lambda mask: sum(1 << i for i, bit in enumerate(mask) if bit)) if _plain else _bits
"""`bits(mask)`: a bit for each lane."""
names: Any = _names_in_python if _plain else _names
"""`names(lanes, number)`: a mask of the lanes one of whose four 16-bit parts is the lowest part of `number`."""
lane: Any = (lambda lanes, number: int(lanes[number])) if _plain else _lane
"""`lane(lanes, number)`: one of them as a number."""
width: Any = len if _plain else _width
"""`width(lanes)`: how many there are."""
