"""What the server and its live process say to one another over a socket: a kind, a length and content each.

Times are seconds: of the conversation, and ``due`` of the machine's monotonic clock, which both processes share.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

OPEN, AUDIO, FINISH, INTERRUPT = b"o", b"a", b"e", b"i"
"""To the live process: begin (JSON), speech (16-bit PCM), the utterance has come whole, drop what waits."""
STATUS, PICTURE, SOUND = b"s", b"v", b"h"
"""From it: JSON, a frame, a piece of the speech (16-bit PCM)."""
_HEAD = struct.Struct(">cI")
_STAMP = struct.Struct(">ddI")
LARGEST = 64 * 2**20
"""Bytes of a message, at most; a raw frame of 4K has 12 million."""


class Message(NamedTuple):
    """One message."""

    kind: bytes
    content: bytes


@dataclass(frozen=True)
class Stamped:
    """A frame or a piece of sound: when it is due, and its content."""

    kind: bytes
    time: float
    due: float
    index: int
    content: bytes

    def packed(self) -> bytes:
        """Return the content of its message."""
        return _STAMP.pack(self.time, self.due, self.index) + self.content

    @classmethod
    def read(cls, message: Message) -> Stamped:
        """Read what ``packed`` made."""
        time, due, index = _STAMP.unpack_from(message.content)
        return cls(message.kind, time, due, index, message.content[_STAMP.size :])


def packed(kind: bytes, content: bytes | dict[str, Any] = b"") -> bytes:
    """Return a message as bytes; a dictionary goes as JSON."""
    body = json.dumps(content).encode() if isinstance(content, dict) else content
    return _HEAD.pack(kind, len(body)) + body


def receive(connection: socket.socket) -> Message | None:
    """Wait for a message; None where the other side is gone."""
    head = _exactly(connection, _HEAD.size)
    if head is None:
        return None
    kind, length = _HEAD.unpack(head)
    content = _exactly(connection, length) if length <= LARGEST else None
    return None if content is None else Message(kind, content)


async def receive_async(reader: asyncio.StreamReader) -> Message | None:
    """Wait for a message; None where the other side is gone."""
    try:
        kind, length = _HEAD.unpack(await reader.readexactly(_HEAD.size))
        return Message(kind, await reader.readexactly(length))
    except (asyncio.IncompleteReadError, OSError):
        return None


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        try:
            part = connection.recv(min(count - len(parts), 2**20))
        except OSError:
            return None
        if not part:
            return None
        parts += part
    return bytes(parts)
