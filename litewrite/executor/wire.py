"""What server and supervisor say to each other about one run, over the run's own socket.

The server sends a request, a length and JSON. The supervisor answers once, a length, JSON and the kept tails of the two
outputs as raw bytes, and closes. A server that closes its sending side asks for the end of the run; one that is gone
has closed it too. Standard library only.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

__all__ = ["LENGTH", "MAX_MESSAGE", "pack_answer", "pack_request", "unpack_header"]

LENGTH = struct.Struct("!I")
MAX_MESSAGE = 16 * 1024 * 1024
"""Bytes of a request at most; more than any system passes to a program."""


def pack_request(request: Mapping[str, object]) -> bytes:
    """Raises ValueError when the request is too large."""
    body = json.dumps(request).encode("ascii")
    if len(body) > MAX_MESSAGE:
        raise ValueError("arguments and environment are too large")
    return LENGTH.pack(len(body)) + body


def pack_answer(header: Mapping[str, object], stdout: bytes, stderr: bytes) -> bytes:
    body = json.dumps({**header, "stdout_bytes": len(stdout), "stderr_bytes": len(stderr)}).encode("ascii")
    return LENGTH.pack(len(body)) + body + stdout + stderr


def unpack_header(body: bytes) -> dict[str, Any]:
    """The JSON object of a request or an answer. Raises ValueError when it is none."""
    header = json.loads(body)
    if not isinstance(header, dict):
        raise ValueError("not a JSON object")
    return header
