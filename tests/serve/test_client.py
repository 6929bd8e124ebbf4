"""The client of the REST API: what a failed download leaves of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from dithead.errors import DitheadError
from dithead.serve.client import Client

JOB = "a" * 24


def client_of(answer: Callable[[httpx.Request], httpx.Response]) -> Client:
    """A client whose server is a function."""
    return Client("http://127.0.0.1", transport=httpx.MockTransport(answer))


class _CutOff(httpx.SyncByteStream):
    """A response whose connection breaks in the middle."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"half"
        raise httpx.ReadError("cut off")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(404, json={"detail": "there is no such job"}), DitheadError),
        (httpx.Response(200, stream=_CutOff()), httpx.ReadError),
    ],
)
def test_a_download_that_fails_leaves_the_file_that_was_there(tmp_path, answer, error):
    output = tmp_path / "out.mp4"
    output.write_bytes(b"my finished video")
    with pytest.raises(error):
        client_of(lambda _: answer).download(JOB, output)
    assert output.read_bytes() == b"my finished video"
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_download_replaces_the_file_that_was_there(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    output.write_bytes(b"my finished video")
    client_of(lambda _: httpx.Response(200, content=b"a better one")).download(JOB, output)
    assert output.read_bytes() == b"a better one"
