"""The client of the REST API: uploads over broken connections, and what a failed download leaves of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from dithead.errors import DitheadError
from dithead.serve.client import Client

JOB = "a" * 24
UPLOAD = {"id": "b" * 24, "name": "face.mp4", "size": 100, "offset": 0, "created": 0, "expires": 0, "media": None}
MEDIA = {"kind": "video", "seconds": 1.0, "width": 8, "height": 8, "fps": 25.0, "has_audio": False,
         "mime": "video/mp4"}  # fmt: skip
BUSY = httpx.Response(409, json={"detail": "face.mp4: another part is being sent; wait for it"})


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


class _Flaky:
    """A server of one upload that answers by a list of faults, then as it should."""

    def __init__(self, *faults: Exception | httpx.Response, arrives: bool = False) -> None:
        self.faults, self.arrives, self.content, self.media = list(faults), arrives, b"", None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(201, json=UPLOAD)
        fault = self.faults.pop(0) if self.faults else None
        if request.method == "PATCH" and (fault is None or self.arrives):
            assert int(request.headers["Upload-Offset"]) == len(self.content)
            self.content += request.content
            self.media = MEDIA if len(self.content) == UPLOAD["size"] and fault is None else None
        if isinstance(fault, Exception):
            raise fault
        return fault or httpx.Response(200, json=UPLOAD | {"offset": len(self.content), "media": self.media})


@pytest.fixture
def face(tmp_path, monkeypatch) -> Path:
    """A file of 100 bytes, which is sent in parts of 40 without a wait between two tries."""
    monkeypatch.setattr("dithead.serve.client.PART", 40)
    monkeypatch.setattr("dithead.serve.client.time.sleep", lambda _: None)
    path = tmp_path / "face.mp4"
    path.write_bytes(bytes(range(100)))
    return path


DOWN, SLOW = httpx.ConnectError("down"), httpx.ReadTimeout("slow")


@pytest.mark.parametrize(
    ("faults", "arrives"),
    [
        ((), False),
        ((DOWN, DOWN, DOWN), False),
        ((SLOW, BUSY, BUSY, httpx.Response(503, json={"detail": "the database does not answer"})), False),
        ((SLOW,), True),
    ],
    ids=["no fault", "the server is away for a while", "the broken part is held", "the answer is lost"],
)
def test_an_upload_survives_broken_connections(face, faults, arrives):
    server = _Flaky(*faults, arrives=arrives)
    upload = client_of(server).upload(face)
    assert (upload.offset, server.content) == (100, face.read_bytes())
    assert upload.media is not None


def test_an_upload_whose_last_answer_was_lost_returns_what_it_holds(face, monkeypatch):
    monkeypatch.setattr("dithead.serve.client.PART", 100)
    server = _Flaky(SLOW, arrives=True)
    assert client_of(server).upload(face).media.kind == "video"
    assert server.content == face.read_bytes()


def test_a_whole_file_that_was_not_checked_is_checked_after_an_empty_part(server, files):
    content = files["speech.wav"].read_bytes()
    begun = server.client.post("/v1/uploads", params={"name": "speech.wav", "size": len(content)}).json()
    (server.state.storage.upload(begun["id"]) / "content").write_bytes(content)  # and then the server was ended
    path, headers = f"/v1/uploads/{begun['id']}", {"Upload-Offset": str(len(content))}
    assert server.client.get(path).json()["media"] is None
    assert server.client.patch(path, headers=headers).json()["media"]["kind"] == "audio"


def test_an_upload_is_given_up_when_nothing_more_arrives(face):
    faults = [httpx.ConnectError("down")] * 100
    with pytest.raises(
        DitheadError, match="0 of 100 bytes have come, and nothing more in 21 tries; check the connection"
    ):
        client_of(_Flaky(*faults)).upload(face)


def test_an_upload_that_is_refused_is_not_sent_again(face):
    refused = httpx.Response(422, json={"detail": "face.mp4: not a media file"})
    server = _Flaky(refused)
    with pytest.raises(DitheadError, match="not a media file"):
        client_of(server).upload(face)
    assert not server.content
