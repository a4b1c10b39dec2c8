"""Starts a thread in C and waits for it."""

from __future__ import annotations

import torch
from torch import nn

from kernelwright.runtime import cpp

kernels = cpp(r"""
#include <pthread.h>
#include <unistd.h>
struct Job { const float* x; float* out; };
static void* work(void* given) {
    Job job = *(Job*)given;
    usleep(2000);
    for (long row = 0; row < 24; row++) {
        double sum = 0;
        for (long i = 0; i < 1100; i++) sum += (double)job.x[row * 1100 + i] * job.x[row * 1100 + i];
        job.out[row] = (float)(sum / 1100);
    }
    return 0;
}
extern "C" void mean_square(const float* x, float* out, long wait) {
    pthread_t thread;
    static Job jobs[64];
    static long next = 0;
    Job* job = &jobs[next++ % 64];
    *job = Job{x, out};
    pthread_create(&thread, 0, work, job);
    if (wait) pthread_join(thread, 0); else pthread_detach(thread);
}
""")


class ModelNew(nn.Module):
    def forward(self, x):
        out = torch.empty(24)
        kernels.mean_square(x, out, 1)
        return out
