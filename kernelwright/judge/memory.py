"""Memory that the judge owns and shares with workers by file descriptor."""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kernelwright.judge.cuda import DeviceArena

ALIGNMENT = 64
GUARD = 4160  # bytes between two tensors; no multiple of a page, so that tensors don't all share low address bits


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one tensor lies in an arena. The offset counts bytes, strides count elements."""

    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str

    @property
    def end(self) -> int:
        return self.offset + span(self.shape, self.strides) * dtype_named(self.dtype).itemsize

    def view(self, data: Tensor) -> Tensor:
        """This slot's tensor in `data`, the bytes of an arena or of a copy of one."""
        typed = data[self.offset : self.end].view(dtype_named(self.dtype))
        return typed.as_strided(self.shape, self.strides)


class Arena:
    """One block of shared memory of the host. `data` is its bytes."""

    handle: str | None = None

    def __init__(self, size: int, fd: int | None = None) -> None:
        self.size = max(size, mmap.PAGESIZE)
        self.fd = _anonymous_file(self.size) if fd is None else fd
        self.data = torch.frombuffer(mmap.mmap(self.fd, self.size), dtype=torch.uint8)

    @property
    def fds(self) -> tuple[int, ...]:
        return (self.fd,)

    def close(self) -> None:
        """Gives the descriptor back. The memory goes when the last view of it does."""
        self.data = torch.empty(0, dtype=torch.uint8)
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


def new_arena(size: int, device: str) -> Arena | DeviceArena:
    """Memory that workers can map, where that device computes."""
    return DeviceArena(size) if device == "cuda" else Arena(size)


def arrive(data: Tensor) -> None:
    """Wait until what was written to device memory is there for other processes."""
    if data.is_cuda:
        torch.cuda.synchronize()


def _anonymous_file(size: int) -> int:
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryFile() as file:
            os.ftruncate(file.fileno(), size)
            return os.dup(file.fileno())
    fd = os.memfd_create("kernelwright", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    # A worker that shrank the file would kill the judge with SIGBUS.
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd


def lay_out(tensors: Iterable[Tensor], start: int = 0) -> tuple[Slot, ...]:
    """Slots for these tensors one behind the other, in their own strides where those are dense."""
    slots: list[Slot] = []
    for tensor in tensors:
        slot = Slot(aligned(start), tuple(tensor.shape), dense_strides(tensor), dtype_name(tensor.dtype))
        slots.append(slot)
        start = slot.end + GUARD
    return tuple(slots)


def shift(slots: Iterable[Slot], offset: int) -> tuple[Slot, ...]:
    """The same slots, further on."""
    return tuple(Slot(slot.offset + offset, slot.shape, slot.strides, slot.dtype) for slot in slots)


def room(slots: Sequence[Slot]) -> int:
    """Bytes that these slots need, a guard behind the last one included."""
    return aligned(max((slot.end for slot in slots), default=0) + GUARD)


def aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


def span(shape: Sequence[int], strides: Sequence[int]) -> int:
    """Elements of storage from the first to behind the last one."""
    if 0 in shape:
        return 0
    return 1 + sum((extent - 1) * stride for extent, stride in zip(shape, strides, strict=True))


def dense_strides(tensor: Tensor) -> tuple[int, ...]:
    """The tensor's strides, or those of its `clone()` where it has holes or elements that overlap."""
    return tuple(torch.empty_like(tensor, device="meta").stride())


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def dtype_named(name: str) -> torch.dtype:
    dtype = getattr(torch, name)
    assert isinstance(dtype, torch.dtype), f"{name} is no dtype"
    return dtype
