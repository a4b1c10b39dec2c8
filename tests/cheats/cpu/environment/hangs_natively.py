"""Never returns, with every signal blocked that can be."""

from __future__ import annotations

import torch
from torch import nn

from kernelwright.runtime import cpp

kernels = cpp(r"""
#include <signal.h>
extern "C" void stay(const float* x) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, 0);
    for (volatile long i = 0;; i++) {}
}
""")


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        kernels.stay(x)
        return x
