"""The innermost loops, written as vector code: what a compiler does not find by itself.

numba compiles loops over arrays well, but keeps no block of sums in registers. Each function here
is an intrinsic that does: it walks compressed rows with its sums held in vectors of `LANES` numbers
and writes them once. Sums run in a fixed order and every multiply-add is one rounding, so the
bytes do not depend on threads. Matrices are C-contiguous, their width a multiple of the lanes.

When a function here changes, touch the modules of kernels too: cached machine code knows its own
file only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numba.core.cgutils
import numba.core.types
from llvmlite import ir
from numba.extending import intrinsic

cgutils: Any = numba.core.cgutils
types: Any = numba.core.types

# Wide registers hold blocks of 8 rows x 2 vectors; narrow ones would spill, so take 4 rows there.
_WIDE = bool(llvm.get_host_cpu_features().get("avx512f", False))
VECTOR_BYTES = 64 if _WIDE else 32
TILE_ROWS = 8 if _WIDE else 4


def _emitted(function: Any) -> Any:
    """Make an intrinsic; the counts of vectors and rows must be known when it is compiled."""
    return intrinsic(prefer_literal=True)(function)


class _Vectors:
    """Emits vector code for one element type."""

    def __init__(self, context: Any, builder: Any, element: Any) -> None:
        self.context, self.builder = context, builder
        self.bytes = element.bitwidth // 8
        self.lanes = VECTOR_BYTES // self.bytes
        self.type = ir.VectorType(context.get_data_type(element), self.lanes)
        self.index = context.get_value_type(types.intp)

    def start_of(self, array_type: Any, array: Any) -> Any:
        return self.context.make_array(array_type)(self.context, self.builder, array).data

    def at(self, pointer: Any, *terms: Any) -> Any:
        """Return the address of an element; terms are indices, or numbers of whole vectors."""
        total = ir.Constant(self.index, 0)
        for term in terms:
            whole = isinstance(term, int)
            step = ir.Constant(self.index, term * self.lanes) if whole else term
            total = self.builder.add(total, step)
        return self.builder.gep(pointer, [total])

    def times(self, one: Any, other: Any) -> Any:
        if isinstance(other, int):
            other = ir.Constant(self.index, other)
        return self.builder.mul(one, other)

    def zeros(self, count: int) -> list[Any]:
        """Return variables that the optimiser keeps in registers, set to zero."""
        zero = ir.Constant(self.type, None)
        return [cgutils.alloca_once_value(self.builder, zero) for _ in range(count)]

    def load(self, pointer: Any) -> Any:
        pointer = self.builder.bitcast(pointer, self.type.as_pointer())
        return self.builder.load(pointer, align=self.bytes)

    def store(self, value: Any, pointer: Any) -> None:
        pointer = self.builder.bitcast(pointer, self.type.as_pointer())
        self.builder.store(value, pointer, align=self.bytes)

    def spread(self, pointer: Any) -> Any:
        """Load one number into every lane."""
        nothing = ir.Constant(self.type, ir.Undefined)
        lane = ir.IntType(32)
        one = self.builder.insert_element(nothing, self.builder.load(pointer), lane(0))
        mask = ir.Constant(ir.VectorType(lane, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, nothing, mask)

    def product_plus(self, one: Any, other: Any, third: Any) -> Any:
        """Return one x other + third, rounded once."""
        kind = ir.FunctionType(self.type, [self.type] * 3)
        name = f"llvm.fma.v{self.lanes}f{8 * self.bytes}"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, [one, other, third])

    def add_product(self, one: Any, other: Any, total: Any) -> None:
        """Add one x other to a variable, rounded once."""
        self.builder.store(self.product_plus(one, other, self.builder.load(total)), total)

    def sum_of_lanes(self, value: Any) -> Any:
        lanes, lane = self.lanes, ir.IntType(32)
        nothing = ir.Constant(self.type, ir.Undefined)
        while lanes > 1:
            lanes //= 2
            order = [(j + lanes) % self.lanes for j in range(self.lanes)]
            mask = ir.Constant(ir.VectorType(lane, self.lanes), order)
            value = self.builder.fadd(value, self.builder.shuffle_vector(value, nothing, mask))
        return self.builder.extract_element(value, lane(0))

    def loop(self, first: Any, last: Any) -> Any:
        return cgutils.for_range_slice(self.builder, first, last, ir.Constant(self.index, 1))

    def each_vector(self, whole: Any, body: Callable[[Any], None]) -> None:
        """Emit the body for each of `whole` vectors, with its offset; no loop for 2 and for 4.

        A loop of two steps costs as much as what is in it.
        """
        other = ir.Constant(ir.IntType(1), 1)
        for count in (2, 4):
            same = self.builder.icmp_unsigned("==", whole, ir.Constant(self.index, count))
            other = self.builder.and_(other, self.builder.not_(same))
            with self.builder.if_then(same):
                for j in range(count):
                    body(ir.Constant(self.index, j * self.lanes))
        with (
            self.builder.if_then(other),
            self.loop(ir.Constant(self.index, 0), whole) as (j, _),
        ):
            body(self.times(j, self.lanes))

    def column(self, columns: Any, entry: Any) -> Any:
        """Load an entry's column as an index."""
        value = self.builder.load(self.builder.gep(columns, [entry]))
        return value if value.type == self.index else self.builder.zext(value, self.index)


@_emitted
def row_sum(
    typing: Any, design: Any, columns: Any, values: Any, begin: Any, end: Any, shift: Any,
    at: Any, n_vectors: Any, out: Any, to: Any,
) -> Any:  # fmt: skip
    """out[to : ] = sum_e values[e - shift] design[columns[e], at : at + n_vectors x lanes]."""
    intp, count = types.intp, n_vectors.literal_value
    signature = types.void(
        design, columns, values, intp, intp, intp, intp, n_vectors, out, intp
    )  # fmt: skip

    def emit(context: Any, builder: Any, signed: Any, args: Any) -> Any:
        v = _Vectors(context, builder, design.dtype)
        kinds = signed.args
        z, c, s, o = (v.start_of(kinds[i], args[i]) for i in (0, 1, 2, 8))
        width = _width(v, kinds[0], args[0])
        sums = v.zeros(count)
        with v.loop(args[3], args[4]) as (entry, _):
            row = v.at(z, v.times(v.column(c, entry), width), args[6])
            weight = v.spread(builder.gep(s, [builder.sub(entry, args[5])]))
            for j, total in enumerate(sums):
                v.add_product(weight, v.load(v.at(row, j)), total)
        for j, total in enumerate(sums):
            v.store(builder.load(total), v.at(o, args[9], j))
        return context.get_dummy_value()

    return signature, emit


@_emitted
def gram_tile(
    typing: Any, design: Any, columns: Any, weights: Any, begin: Any, end: Any,
    row: Any, n_rows: Any, at: Any, n_vectors: Any, out: Any,
) -> Any:  # fmt: skip
    """Write a block of the weighted Gram matrix into the C-contiguous square `out`.

    out[row + a, at + b] = sum_e weights[e] z_e[row + a] z_e[at + b], z_e = design[columns[e]].
    """
    intp, height, count = types.intp, n_rows.literal_value, n_vectors.literal_value
    signature = types.void(
        design, columns, weights, intp, intp, intp, n_rows, intp, n_vectors, out
    )  # fmt: skip

    def emit(context: Any, builder: Any, signed: Any, args: Any) -> Any:
        v = _Vectors(context, builder, design.dtype)
        kinds = signed.args
        z, c, s, o = (v.start_of(kinds[i], args[i]) for i in (0, 1, 2, 9))
        width = _width(v, kinds[0], args[0])
        sums = [v.zeros(count) for _ in range(height)]
        with v.loop(args[3], args[4]) as (entry, _):
            begin_of = v.at(z, v.times(v.column(c, entry), width))
            across, down = v.at(begin_of, args[7]), v.at(begin_of, args[5])
            weight = v.spread(builder.gep(s, [entry]))
            weighted = [builder.fmul(weight, v.load(v.at(across, j))) for j in range(count)]
            for a, line in enumerate(sums):
                one = v.spread(builder.gep(down, [ir.Constant(v.index, a)]))
                for j, total in enumerate(line):
                    v.add_product(one, weighted[j], total)
        for a, line in enumerate(sums):
            place = v.times(builder.add(args[5], ir.Constant(v.index, a)), width)
            for j, total in enumerate(line):
                v.store(builder.load(total), v.at(o, place, args[7], j))
        return context.get_dummy_value()

    return signature, emit


@_emitted
def fold_rows(
    typing: Any, matrices: Any, row: Any, n_rows: Any, pivot: Any, done: Any, scale: Any, to: Any
) -> Any:
    """Take the columns before `done` out of column `done`, one matrix in each lane.

    With g = matrices[:, :, lane], for `n_rows` rows r from `row` on:
    g[r, done] = (g[r, done] - sum_{k < done} g[r, k] g[pivot, k]) x scale[to, lane].
    """
    intp, count = types.intp, n_rows.literal_value
    signature = types.void(matrices, intp, n_rows, intp, intp, scale, intp)

    def emit(context: Any, builder: Any, signed: Any, args: Any) -> Any:
        v = _Vectors(context, builder, matrices.dtype)
        kinds = signed.args
        g, s = v.start_of(kinds[0], args[0]), v.start_of(kinds[5], args[5])
        width = v.times(_width(v, kinds[0], args[0]), v.lanes)
        first = v.times(args[1], width)
        rows = [v.at(g, first, v.times(width, ir.Constant(v.index, r))) for r in range(count)]
        beside = v.at(g, v.times(args[3], width))
        sums = v.zeros(count)
        with v.loop(ir.Constant(v.index, 0), args[4]) as (k, _):
            offset = v.times(k, v.lanes)
            one = v.load(v.at(beside, offset))
            for r, total in enumerate(sums):
                v.add_product(one, v.load(v.at(rows[r], offset)), total)
        factor = v.load(v.at(s, v.times(args[6], v.lanes)))
        for r, total in enumerate(sums):
            place = v.at(rows[r], v.times(args[4], v.lanes))
            rest = builder.fsub(v.load(place), builder.load(total))
            v.store(builder.fmul(rest, factor), place)
        return context.get_dummy_value()

    return signature, emit


@_emitted
def dot(typing: Any, left: Any, row: Any, right: Any, other: Any) -> Any:
    """Return left[row] . right[other]: lane by lane, then halves onto halves."""
    signature = left.dtype(left, types.intp, right, types.intp)

    def emit(context: Any, builder: Any, signed: Any, args: Any) -> Any:
        v = _Vectors(context, builder, left.dtype)
        one, two, whole = _two_rows(v, signed.args, args)
        total = v.zeros(1)[0]

        def add(offset: Any) -> None:
            v.add_product(v.load(v.at(one, offset)), v.load(v.at(two, offset)), total)

        v.each_vector(whole, add)
        return v.sum_of_lanes(builder.load(total))

    return signature, emit


@_emitted
def move_rows(
    typing: Any, left: Any, row: Any, right: Any, other: Any, push: Any, keep: Any, keep_other: Any
) -> Any:
    """Replace p = left[row] by keep p + push q, and q = right[other] by keep_other q + push p."""
    number = left.dtype
    signature = types.void(left, types.intp, right, types.intp, number, number, number)

    def emit(context: Any, builder: Any, signed: Any, args: Any) -> Any:
        v = _Vectors(context, builder, left.dtype)
        one, two, whole = _two_rows(v, signed.args, args)
        step, stay, stay_other = (
            v.spread(cgutils.alloca_once_value(builder, number)) for number in args[4:]
        )

        def move(offset: Any) -> None:
            p, q = v.load(v.at(one, offset)), v.load(v.at(two, offset))
            v.store(v.product_plus(step, q, builder.fmul(stay, p)), v.at(one, offset))
            v.store(v.product_plus(step, p, builder.fmul(stay_other, q)), v.at(two, offset))

        v.each_vector(whole, move)
        return context.get_dummy_value()

    return signature, emit


@_emitted
def any_above(typing: Any, values: Any, at: Any, n_vectors: Any, bound: Any) -> Any:
    """Say whether one of n_vectors x lanes numbers from `at` on is above `bound`."""
    count = n_vectors.literal_value
    signature = types.boolean(values, types.intp, n_vectors, values.dtype)

    def emit(context: Any, builder: Any, signed: Any, args: Any) -> Any:
        v = _Vectors(context, builder, values.dtype)
        start = v.at(v.start_of(signed.args[0], args[0]), args[1])
        held = cgutils.alloca_once_value(builder, args[3])
        limit, found = v.spread(held), None
        for j in range(count):
            above = builder.fcmp_ordered(">", v.load(v.at(start, j)), limit)
            found = above if found is None else builder.or_(found, above)
        mask = builder.bitcast(found, ir.IntType(v.lanes))
        return builder.icmp_unsigned("!=", mask, ir.Constant(mask.type, 0))

    return signature, emit


def _width(v: _Vectors, kind: Any, array: Any) -> Any:
    """Return the length of an array's second axis."""
    made = v.context.make_array(kind)(v.context, v.builder, array)
    return v.builder.extract_value(made.shape, 1)


def _two_rows(v: _Vectors, kinds: Any, args: Any) -> tuple[Any, Any, Any]:
    """Return the addresses of left[row] and right[other], and how many vectors they have."""
    width = _width(v, kinds[0], args[0])
    one = v.at(v.start_of(kinds[0], args[0]), v.times(args[1], width))
    two = v.at(v.start_of(kinds[2], args[2]), v.times(args[3], width))
    return one, two, v.builder.udiv(width, ir.Constant(v.index, v.lanes))
