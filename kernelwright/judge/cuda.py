"""CUDA memory that crosses processes by handle, and what the judge must know of the device's caches.

An exported handle opens the whole allocation behind an address. So what the judge shares are allocations of their own,
outside PyTorch's allocator: nothing else of the judge's lies in them.
CUDA Runtime API, "Device Management" and "Interprocess Communication"; the driver's cuMemGetAddressRange.
"""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

HANDLE = 64  # bytes of a cudaIpcMemHandle_t
LAZY_PEER_ACCESS = 1  # cudaIpcMemLazyEnablePeerAccess, the only flag that opening a handle takes


class CudaError(RuntimeError):
    """The CUDA runtime refused a call."""


class _Handle(ctypes.Structure):
    _fields_ = (("reserved", ctypes.c_char * HANDLE),)


@dataclass(frozen=True, slots=True)
class Place:
    """Where another process's tensor starts: the handle of its allocation, in hex, and the offset in bytes."""

    handle: str
    offset: int


class DeviceArena:
    """One block of device memory that other processes can map. `data` is its bytes."""

    fds: tuple[int, ...] = ()

    def __init__(self, size: int, handle: str | None = None) -> None:
        self.size = max(size, 1)
        self._mapped = handle is not None
        self._address = _allocate(self.size) if handle is None else open_handle(handle)
        self.handle = handle if handle is not None else _handle_of(self._address)
        self.data = as_bytes(self._address, self.size)

    def close(self) -> None:
        """Gives the memory back. No view of it may be used afterwards."""
        if self._address:
            self.data = torch.empty(0, dtype=torch.uint8)
            torch.cuda.synchronize()
            release = _runtime().cudaIpcCloseMemHandle if self._mapped else _runtime().cudaFree
            _check(release(ctypes.c_void_p(self._address)))
        self._address = 0


def place_of(address: int) -> Place:
    """The allocation that holds this address, ready to be opened by another process."""
    base = _range(address)[0]
    return Place(_handle_of(base), address - base)


def open_handle(handle: str) -> int:
    """The address at which another process's allocation is mapped here."""
    address = ctypes.c_void_p()
    raw = _Handle.from_buffer_copy(bytes.fromhex(handle))
    _check(_runtime().cudaIpcOpenMemHandle(ctypes.byref(address), raw, LAZY_PEER_ACCESS))
    return int(address.value or 0)


def close_handle(address: int) -> None:
    """Gives a mapping back. An exporter that is gone already is no error."""
    torch.cuda.synchronize()
    _runtime().cudaIpcCloseMemHandle(ctypes.c_void_p(address))


def extent_of(address: int) -> int:
    """Bytes of the allocation that starts here."""
    return _range(address)[1]


def as_bytes(address: int, size: int) -> Tensor:
    """Device memory that somebody else owns, as a tensor of bytes."""
    return torch.as_tensor(_Block(address, size), device="cuda")


def cache_bytes() -> int:
    """Bytes of the device's last-level cache."""
    return int(torch.cuda.get_device_properties(torch.cuda.current_device()).L2_cache_size)


def free_bytes() -> int:
    """Bytes of the device's memory that nobody has."""
    return torch.cuda.mem_get_info()[0]


def forget_persisting_lines() -> None:
    """Make every line of the cache an ordinary one, also those that a kernel asked to persist."""
    _check(_runtime().cudaCtxResetPersistingL2Cache())


class _Block:
    """The protocol by which PyTorch takes over foreign device memory (Numba's CUDA array interface, version 3)."""

    def __init__(self, address: int, size: int) -> None:
        self.__cuda_array_interface__ = {"shape": (size,), "typestr": "|u1", "data": (address, False), "version": 3}


def _allocate(size: int) -> int:
    torch.cuda.init()
    torch.cuda.current_stream()  # makes the context current
    address = ctypes.c_void_p()
    _check(_runtime().cudaMalloc(ctypes.byref(address), ctypes.c_size_t(size)))
    return int(address.value or 0)


def _handle_of(address: int) -> str:
    handle = _Handle()
    _check(_runtime().cudaIpcGetMemHandle(ctypes.byref(handle), ctypes.c_void_p(address)))
    return bytes(ctypes.string_at(ctypes.byref(handle), HANDLE)).hex()


def _range(address: int) -> tuple[int, int]:
    """Start and size of the allocation that holds this address."""
    base, size = ctypes.c_uint64(), ctypes.c_size_t()
    status = _driver().cuMemGetAddressRange_v2(ctypes.byref(base), ctypes.byref(size), ctypes.c_uint64(address))
    if status:
        raise CudaError(f"CUDA driver error {status}: no allocation at {address:#x}")
    return base.value, size.value


def _check(status: int) -> None:
    if status:
        raise CudaError(f"CUDA error {status}: {_message(status)}")


def _message(status: int) -> str:
    describe = _runtime().cudaGetErrorString
    describe.restype = ctypes.c_char_p
    return str(describe(status).decode())


@functools.cache
def _runtime() -> Any:
    """The CUDA runtime that PyTorch has loaded."""
    torch.cuda.init()
    return ctypes.CDLL(f"libcudart.so.{(torch.version.cuda or '').partition('.')[0]}")


@functools.cache
def _driver() -> Any:
    return ctypes.CDLL("libcuda.so.1")
