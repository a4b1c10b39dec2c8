"""Frames on a socket: pickle from the judge down to a worker, strict JSON with a size limit back up."""

from __future__ import annotations

import json
import os
import pickle
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

HEAD = struct.Struct("!Q")
LIMIT = 1 << 20  # bytes of a frame from a worker
DESCRIPTORS = 4  # at most, with one frame


class BadFrame(Exception):
    """What came is no frame, or not the frame that was asked for."""


def frame(message: object) -> bytes:
    payload = pickle.dumps(message)
    return HEAD.pack(len(payload)) + payload


def send(connection: socket.socket, message: object, fds: Sequence[int] = ()) -> None:
    data = frame(message)
    socket.send_fds(connection, [data[: HEAD.size]], list(fds))
    connection.sendall(data[HEAD.size :])


def receive(connection: socket.socket) -> tuple[Any, list[int]]:
    """The next message of the judge, with its descriptors. Raises EOFError when the judge is gone."""
    head, fds, _, _ = socket.recv_fds(connection, HEAD.size, DESCRIPTORS, socket.MSG_WAITALL)
    for fd in fds:
        os.set_inheritable(fd, False)
    if len(head) < HEAD.size:
        raise EOFError("the judge is gone")
    return pickle.loads(_exactly(connection, HEAD.unpack(head)[0])), fds


def send_json(connection: socket.socket, message: dict[str, Any]) -> None:
    payload = json.dumps(message).encode()
    connection.sendall(HEAD.pack(len(payload)) + payload)


def receive_json(connection: socket.socket, deadline: float) -> dict[str, Any]:
    """The next answer of a worker, before `deadline` on the monotonic clock.

    Raises TimeoutError, EOFError, or BadFrame where the bytes are no JSON object within the limit.
    """
    size = HEAD.unpack(_exactly(connection, HEAD.size, deadline))[0]
    if size > LIMIT:
        raise BadFrame(f"a frame of {size} bytes; at most {LIMIT} are read")
    payload = _exactly(connection, size, deadline)
    try:
        message = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise BadFrame(f"a frame that is no JSON: {payload[:80]!r}") from error
    if not isinstance(message, dict):
        raise BadFrame(f"a frame that is no JSON object: {payload[:80]!r}")
    return message


def _exactly(connection: socket.socket, size: int, deadline: float | None = None) -> bytes:
    """So many bytes. ConnectionResetError counts as the end of the stream."""
    data = bytearray()
    while len(data) < size:
        if deadline is not None:
            connection.settimeout(max(deadline - time.monotonic(), 1e-6))
        try:
            piece = connection.recv(size - len(data))
        except ConnectionResetError:
            piece = b""
        if not piece:
            raise EOFError("the other side is gone")
        data += piece
    return bytes(data)
