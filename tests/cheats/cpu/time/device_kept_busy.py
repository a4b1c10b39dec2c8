"""Has a thread that burns a core for as long as the process runs."""

from __future__ import annotations

import torch
from torch import nn

from kernelwright.runtime import cpp

kernels = cpp(r"""
#include <pthread.h>
static void* burn(void*) { for (volatile long i = 0;; i++) {} return 0; }
extern "C" void start(long threads) {
    pthread_t thread;
    for (long i = 0; i < threads; i++) pthread_create(&thread, 0, burn, 0);
}
""")
kernels.start(1)


class ModelNew(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return torch.relu(self.linear(x)) + x
