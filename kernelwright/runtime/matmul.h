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
// matrix is 0. Whole vectors are written, the last of a row of the panel past its end: that belongs to the next row, so
// the last group of rows goes first. Writes up to one vector past the panel's end.
template <int size, bool along_depth, class Load>
SIMD_INLINE void pack_panel(Load load, long first, long count, long depth, long extent, float* panel)
{
    for (int group = (size - 1) / width * width; group >= 0; group -= width) {
        const long left = count - group;
        if constexpr (along_depth) {
            const auto move = [&](long d, auto lanes) {
                vec part[width];
#pragma GCC unroll 16
                for (int i = 0; i < width; ++i)
                    part[i] = group + i < size && i < left ? load(first + group + i, depth + d, lanes) : vec{};
                transpose(part);
#pragma GCC unroll 16
                for (int i = 0; i < width; ++i)
                    if (i < lanes)
                        store(panel + (d + i) * size + group, part[i], Full{});
            };
            each<1>(0, extent, [&](long d, int, auto lanes) { move(d, lanes); });
        } else if (left >= width)
            for (long d = 0; d < extent; ++d)
                store(panel + d * size + group, load(first + group, depth + d, Full{}), Full{});
        else
            for (long d = 0; d < extent; ++d)
                store(panel + d * size + group, left > 0 ? load(first + group, depth + d, Part{int(left)}) : vec{}, Full{});
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

// How a shape is cut up.
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
        left_panel = tile_rows * Shape::depth + width,
        right_panel = tile_columns * Shape::depth + width,
        left_size = Shape::left_before ? Shape::left_batches * row_panels * left_panel : 0,
    };
};

// All panels of one operand, each with room for the vector that packing may write past its end.
template <int size, bool along_depth, class Load>
void pack_before(Load load, long batches, long extent, long depth, float* packed)
{
    const long panels = blocks(extent, size);
#pragma omp for schedule(static)
    for (long at = 0; at < batches * panels; ++at) {
        const long batch = at / panels, first = at % panels * size;
        const auto one = [&](long i, long d, auto lanes) { return load(batch, i, d, lanes); };
        pack_panel<size, along_depth>(one, first, least(extent - first, size), 0, depth, packed + at * (size * depth + width));
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
                            ? left_packed + (left_batch * T::row_panels + (row0 + i) / T::tile_rows) * T::left_panel + depth0 * T::tile_rows
                            : left_block + i * depth;
                        const float* b = Shape::right_before
                            ? right_packed + (right_batch * T::column_panels + (column0 + j) / T::tile_columns) * T::right_panel + depth0 * T::tile_columns
                            : right_block + j * depth;
                        multiply<T::tile_rows, Shape::tile_columns>(
                            a, b, depth, tile + i * T::column_block + j, T::column_block, depth0 > 0);
                    }
            }
            for (long i = 0; i < rows; ++i)
                each<1>(0, columns, [&](long j, int, auto lanes) {
                    finish(batch, row0 + i, column0 + j, load(tile + i * T::column_block + j, Full{}), lanes);
                });
        }
    }
}

// The same for few rows, where reading the right operand is all the time there is: it is read once, unpacked, and every
// row takes its share of each vector. `scratch` holds the left operand: rows * (depth + width) floats.
template <class Shape, class Left, class Right, class Finish>
void matmul_narrow(Left left, Right right, Finish finish, float* scratch)
{
    constexpr int rows = Shape::rows;
    constexpr long stride = blocks(Shape::depth, width) * width;
    constexpr int sums = 24 * width / 16;  // accumulators, with room for operands among the registers
    constexpr int across = sums / rows >= 8 ? 8 : sums / rows >= 4 ? 4 : sums / rows >= 2 ? 2 : 1;
    constexpr int group = Shape::right_along_depth ? width : across * width;
    constexpr long groups = blocks(Shape::columns, group);
    for (long batch = 0; batch < Shape::left_batches; ++batch)
        for (int i = 0; i < rows; ++i)
            each<1>(0, Shape::depth, [&](long d, int, auto lanes) {
                store(scratch + (batch * rows + i) * stride + d, left(batch, i, d, lanes), Full{});
            });
#pragma omp parallel for schedule(static)
    for (long task = 0; task < Shape::batches * groups; ++task) {
        const long batch = task / groups, column0 = task % groups * group;
        const float* down = scratch + (Shape::left_batches == 1 ? 0 : batch) * rows * stride;
        float product[rows][group];
        if constexpr (Shape::right_along_depth)
            for (int j = 0; j < width; j += across) {
                vec total[rows][across] = {};
                each<1>(0, Shape::depth, [&](long d, int, auto lanes) {
                    vec here[across];
#pragma GCC unroll 8
                    for (int c = 0; c < across; ++c)
                        here[c] = right(batch, least(column0 + j + c, Shape::columns - 1), d, lanes);
#pragma GCC unroll 8
                    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 8
                        for (int c = 0; c < across; ++c)
                            total[i][c] += load(down + i * stride + d, lanes) * here[c];
                });
#pragma GCC unroll 8
                for (int i = 0; i < rows; ++i)
#pragma GCC unroll 8
                    for (int c = 0; c < across; ++c)
                        product[i][j + c] = sum(total[i][c]);
            }
        else {
            vec total[rows][across] = {};
            const auto add = [&](auto fetch) {
                for (long d = 0; d < Shape::depth; ++d)
#pragma GCC unroll 8
                    for (int c = 0; c < across; ++c) {
                        const vec here = fetch(c, d);
#pragma GCC unroll 8
                        for (int i = 0; i < rows; ++i)
                            total[i][c] += down[i * stride + d] * here;
                    }
            };
            if (column0 + group <= Shape::columns)
                add([&](int c, long d) { return right(batch, column0 + c * width, d, Full{}); });
            else
                add([&](int c, long d) {
                    const long left_over = Shape::columns - column0 - c * width;
                    return left_over > 0 ? right(batch, column0 + c * width, d, Part{int(least(left_over, width))}) : vec{};
                });
#pragma GCC unroll 8
            for (int i = 0; i < rows; ++i)
#pragma GCC unroll 8
                for (int c = 0; c < across; ++c)
                    store(product[i] + c * width, total[i][c], Full{});
        }
        for (int i = 0; i < rows; ++i)
            each<1>(0, least(group, Shape::columns - column0), [&](long j, int, auto lanes) {
                finish(batch, i, column0 + j, load(product[i] + j, Full{}), lanes);
            });
    }
}

}  // namespace simd
