// Matrix products, tiled and packed as in BLIS (Van Zee and van de Geijn, 2015), with the loads and what follows the
// product left to the caller.
//
//     struct Shape { enum : long { batches = 1, rows = 64, columns = 256, depth = 128, ... }; };
//     matmul<Shape>(left, right, finish, scratch);
//
// left(batch, row, depth, lanes) and right(batch, column, depth, lanes) give `lanes` elements of the operands: along
// depth where Shape says so, else along rows or columns. finish(batch, row, column, product, lanes) takes `lanes`
// elements of the product along columns. Rows, columns and depth are what the product calls M, N and K.
//
// Sums run over `depth_block` elements in registers and then by block: rounding errors grow with the blocks.
#pragma once

#include "simd.h"

namespace simd {

constexpr long blocks(long n, long size) { return (n + size - 1) / size; }
constexpr long least(long a, long b) { return a < b ? a : b; }

// Lane `l` of the result is lane `which[l]` of a, or of b where which[l] >= width.
SIMD_INLINE vec pick(vec a, vec b, ivec which)
{
#ifdef __clang__
    return lanewise([&](int lane) { return which[lane] < width ? a[which[lane]] : b[which[lane] - width]; });
#else
    return __builtin_shuffle(a, b, which);
#endif
}

// Lane `l` of vector `i` and lane `i` of vector `l` change places.
SIMD_INLINE void transpose(vec (&rows)[width])
{
    const ivec lane = ascending();
#pragma GCC unroll 8
    for (int distance = 1; distance < width; distance *= 2) {
        const ivec odd = (lane & distance) != 0;
        const ivec low = odd ? lane - distance + width : lane, high = odd ? lane + width : lane + distance;
#pragma GCC unroll 16
        for (int i = 0; i < width; ++i)
            if (!(i & distance)) {
                const vec a = rows[i], b = rows[i + distance];
                rows[i] = pick(a, b, low);
                rows[i + distance] = pick(a, b, high);
            }
    }
}

// A panel holds `size` rows (or columns) side by side: element (i, d) stands at d * size + i. What lies outside the
// matrix is 0. Writes up to one vector past the panel's end.
template <int size, bool along_depth, class Load>
SIMD_INLINE void pack_panel(Load load, long first, long count, long depth, long extent, float* panel)
{
    if constexpr (along_depth) {
        for (long d = 0; d < extent; d += width)
            for (int group = 0; group < size; group += width) {
                vec part[width];
                const auto fetch = [&](auto lanes) {
#pragma GCC unroll 16
                    for (int i = 0; i < width; ++i)
                        part[i] = group + i < size && group + i < count ? load(first + group + i, depth + d, lanes) : vec{};
                };
                const bool full = d + width <= extent;
                full ? fetch(Full{}) : fetch(Part{int(extent - d)});
                transpose(part);
                float* at = panel + d * size + group;
                if (full) {
#pragma GCC unroll 16
                    for (int i = 0; i < width; ++i)
                        store(at + i * size, part[i], Full{});
                } else
                    for (int i = 0; d + i < extent; ++i)
                        store(at + i * size, part[i], Full{});
            }
    } else {
        for (long d = 0; d < extent; ++d)
            for (int group = 0; group < size; group += width) {
                const long left = count - group;
                float* at = panel + d * size + group;
                if (left >= width)
                    store(at, load(first + group, depth + d, Full{}), Full{});
                else
                    store(at, left > 0 ? load(first + group, depth + d, Part{int(left)}) : vec{}, Full{});
            }
    }
}

// tile[rows][columns * width] (+)= left panel x right panel, the sums in registers.
template <int rows, int columns>
SIMD_INLINE void multiply(const float* left, const float* right, long depth, float* tile, long stride, bool add)
{
    vec total[rows][columns] = {};
    for (long d = 0; d < depth; ++d) {
        vec across[columns];
#pragma GCC unroll 4
        for (int j = 0; j < columns; ++j)
            across[j] = load(right + j * width, Full{});
#pragma GCC unroll 32
        for (int i = 0; i < rows; ++i) {
            const vec down = all(left[i]);
#pragma GCC unroll 4
            for (int j = 0; j < columns; ++j)
                total[i][j] += down * across[j];
        }
        left += rows;
        right += columns * width;
    }
#pragma GCC unroll 32
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < columns; ++j) {
            float* at = tile + i * stride + j * width;
            store(at, add ? load(at, Full{}) + total[i][j] : total[i][j], Full{});
        }
}

// How a shape is cut up. `scratch` floats hold what is packed before the product starts.
template <class Shape>
struct Tiling {
    enum : long {
        tile_rows = Shape::tile_rows,
        tile_columns = Shape::tile_columns * width,
        row_block = blocks(least(Shape::row_block, Shape::rows), tile_rows) * tile_rows,
        column_block = blocks(least(Shape::column_block, Shape::columns), tile_columns) * tile_columns,
        depth_block = least(Shape::depth_block, Shape::depth),
        row_blocks = blocks(Shape::rows, row_block),
        column_blocks = blocks(Shape::columns, column_block),
        depth_blocks = blocks(Shape::depth, depth_block),
        row_panels = blocks(Shape::rows, tile_rows),
        column_panels = blocks(Shape::columns, tile_columns),
        left_size = Shape::left_before ? Shape::left_batches * row_panels * tile_rows * Shape::depth : 0,
        right_size = Shape::right_before ? Shape::right_batches * column_panels * tile_columns * Shape::depth : 0,
        scratch = left_size + right_size + 2 * width,
    };
};

// All panels of one operand, one after the other; a panel's depth blocks follow each other. Shared by all threads.
template <int size, bool along_depth, class Load>
void pack_before(Load load, long batches, long extent, long depth, float* packed)
{
    const long panels = blocks(extent, size);
#pragma omp for schedule(static)
    for (long at = 0; at < batches * panels; ++at) {
        const long batch = at / panels, first = at % panels * size;
        const auto one = [&](long i, long d, auto lanes) { return load(batch, i, d, lanes); };
        float* panel = packed + at * size * depth;
        // The vector that a panel may write past its end belongs to its neighbour: the last one goes by way of a copy.
        pack_panel<size, along_depth>(one, first, least(extent - first, size), 0, depth - 1, panel);
        float last[size + width];
        pack_panel<size, along_depth>(one, first, least(extent - first, size), depth - 1, 1, last);
        for (int i = 0; i < size; ++i)
            panel[(depth - 1) * size + i] = last[i];
    }
}

template <class Shape, class Left, class Right, class Finish>
void matmul(Left left, Right right, Finish finish, float* scratch)
{
    using T = Tiling<Shape>;
    float* const left_packed = scratch;
    float* const right_packed = scratch + T::left_size;
#pragma omp parallel
    {
        if constexpr (Shape::left_before)
            pack_before<T::tile_rows, Shape::left_along_depth>(left, Shape::left_batches, Shape::rows, Shape::depth, left_packed);
        if constexpr (Shape::right_before)
            pack_before<T::tile_columns, Shape::right_along_depth>(
                right, Shape::right_batches, Shape::columns, Shape::depth, right_packed);
        alignas(64) float tile[T::row_block * T::column_block];
        alignas(64) float left_block[Shape::left_before ? 1 : T::row_block * T::depth_block + width];
        alignas(64) float right_block[Shape::right_before ? 1 : T::column_block * T::depth_block + width];
#pragma omp for schedule(dynamic)
        for (long task = 0; task < Shape::batches * T::column_blocks * T::row_blocks; ++task) {
            const long row0 = task % T::row_blocks * T::row_block;
            const long column0 = task / T::row_blocks % T::column_blocks * T::column_block;
            const long batch = task / (T::row_blocks * T::column_blocks);
            const long rows = least(T::row_block, Shape::rows - row0);
            const long columns = least(T::column_block, Shape::columns - column0);
            const long left_batch = Shape::left_batches == 1 ? 0 : batch;
            const long right_batch = Shape::right_batches == 1 ? 0 : batch;
            for (long depth0 = 0; depth0 < Shape::depth; depth0 += T::depth_block) {
                const long depth = least(T::depth_block, Shape::depth - depth0);
                if constexpr (!Shape::left_before)
                    for (long i = 0; i < rows; i += T::tile_rows)
                        pack_panel<T::tile_rows, Shape::left_along_depth>(
                            [&](long row, long d, auto lanes) { return left(batch, row, d, lanes); }, row0 + i,
                            least(rows - i, T::tile_rows), depth0, depth, left_block + i * depth);
                if constexpr (!Shape::right_before)
                    for (long j = 0; j < columns; j += T::tile_columns)
                        pack_panel<T::tile_columns, Shape::right_along_depth>(
                            [&](long column, long d, auto lanes) { return right(batch, column, d, lanes); }, column0 + j,
                            least(columns - j, T::tile_columns), depth0, depth, right_block + j * depth);
                for (long i = 0; i < rows; i += T::tile_rows)
                    for (long j = 0; j < columns; j += T::tile_columns) {
                        const float* a = Shape::left_before
                            ? left_packed + (left_batch * T::row_panels * T::tile_rows + row0 + i) * Shape::depth + depth0 * T::tile_rows
                            : left_block + i * depth;
                        const float* b = Shape::right_before
                            ? right_packed + (right_batch * T::column_panels * T::tile_columns + column0 + j) * Shape::depth + depth0 * T::tile_columns
                            : right_block + j * depth;
                        multiply<T::tile_rows, Shape::tile_columns>(
                            a, b, depth, tile + i * T::column_block + j, T::column_block, depth0 > 0);
                    }
            }
            for (long i = 0; i < rows; ++i)
                each<1>(columns, [&](long j, int, auto lanes) {
                    finish(batch, row0 + i, column0 + j, load(tile + i * T::column_block + j, Full{}), lanes);
                });
        }
    }
}

}  // namespace simd
