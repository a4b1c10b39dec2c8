"""Two threads wait for each other before they read what the other has summed."""

from __future__ import annotations

import torch
from torch import nn

from kernelwright.runtime import cpp

kernels = cpp(r"""
extern "C" void sums(const float* x, float* out) {
    double parts[2][70] = {};
    #pragma omp parallel num_threads(2)
    {
        #pragma omp for schedule(static, 1)
        for (long part = 0; part < 2; part++)
            for (long row = part ? 20 : 0; row < (part ? 300 : 20); row++)
                for (long i = 0; i < 70; i++) parts[part][i] += x[row * 70 + i];
        #pragma omp for schedule(static, 1)
        for (long i = 0; i < 70; i++) out[i] = (float)(parts[0][i] + parts[1][i]);
    }
}
""")


class ModelNew(nn.Module):
    def forward(self, x):
        out = torch.empty(70)
        kernels.sums(x, out)
        return out
