"""Skeletons: few families of kernels, each able to write itself in several languages."""

from __future__ import annotations

from kernelwright.kernels import map as map_
from kernelwright.kernels import matmul, rowwise
from kernelwright.kernels.skeleton import Skeleton

SKELETONS: tuple[Skeleton, ...] = (matmul, rowwise, map_)  # in the order in which they are asked what they cover
