"""Draw the secret signs of the watermark from its key, and spread its 16 bits over 64 by an error-correcting code.

The signs come from SHAKE-256, so that a mark of today can be read by any later version of any library. The code is the
extended BCH code of 64 bits: two messages differ in at least 24 of them. It is decoded by trying every message.
Letters: K coefficients, B bits of a code word.
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

MESSAGE_BITS = 16
CODE_BITS = 64
_GENERATOR = 0o6331141367235453  # of BCH(63, 16), which corrects 11 errors: Lin and Costello, Error Control Coding


@cache
def code_words() -> NDArray[np.int8]:
    """Return the code words of all messages, (2 ** 16, 64), of +1 and -1; the row is the message's number."""
    return _coded(np.arange(2**MESSAGE_BITS))


def code_word(message: int) -> NDArray[np.int8]:
    """Return the code word (64,) of one message, which takes a thousandth of the time of all."""
    return np.asarray(_coded(np.array([message]))[0], np.int8)


def _coded(numbers: NDArray[np.int64]) -> NDArray[np.int8]:
    """The code words (n, 64) of messages (n,)."""
    rows = [[_GENERATOR << shift >> bit & 1 for bit in range(CODE_BITS - 1)] for shift in range(MESSAGE_BITS)]
    generator = np.array([[*row, sum(row) % 2] for row in rows], np.float32)
    messages = (numbers[:, None] >> np.arange(MESSAGE_BITS) & 1).astype(np.float32)
    words = (messages @ generator).astype(np.int64) % 2
    return np.asarray(1 - 2 * words, np.int8)


def signs(key: bytes, label: str, count: int) -> NDArray[np.float32]:
    """Return ``count`` signs, +1 or -1, that nobody can tell from coin tosses without the key.

    Args:
        key: The secret.
        label: What the signs are for; other labels give independent ones.
        count: How many.
    """
    return (1 - 2 * np.unpackbits(_stream(key, label, -(-count // 8)), count=count).astype(np.float32)).astype(
        np.float32
    )


def shares(key: bytes, count: int) -> NDArray[np.intp]:
    """Return for each of ``count`` coefficients the bit of the code word that it carries; all bits have equally many.

    Args:
        key: The secret.
        count: K.
    """
    draws = _stream(key, "shares", 8 * count).view("<u8")
    order = np.argsort(draws, kind="stable")
    share = np.empty(count, np.intp)
    share[order] = np.arange(count) % CODE_BITS
    return share


def _stream(key: bytes, label: str, count: int) -> NDArray[np.uint8]:
    secret = len(key).to_bytes(4, "big") + key + label.encode()
    return np.frombuffer(hashlib.shake_256(b"dithead watermark" + secret).digest(count), np.uint8)
