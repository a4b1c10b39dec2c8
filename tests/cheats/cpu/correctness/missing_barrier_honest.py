"""Four threads wait for each other between two loops."""

from __future__ import annotations

import torch
from torch import nn

from kernelwright.runtime import cpp


kernels = cpp(r"""
extern "C" void mean_square(const float* x, float* out) {
    double squares[48];
    #pragma omp parallel num_threads(4)
    {
        #pragma omp for schedule(static, 1)
        for (long row = 0; row < 48; row++) {
            double sum = 0;
            for (long i = 0; i < 1500; i++) sum += (double)x[row * 1500 + i] * x[row * 1500 + i];
            squares[row] = sum;
        }
        #pragma omp for schedule(static, 1)
        for (long row = 0; row < 48; row++) out[47 - row] = (float)(squares[47 - row] / 1500);
    }
}
""")


class ModelNew(nn.Module):
    def forward(self, x):
        out = torch.empty(48)
        kernels.mean_square(x, out)
        return out
