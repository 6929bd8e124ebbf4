"""A machine without espeak-ng gets one clear error."""

import subprocess

import pytest

from dithead.errors import DataError, DitheadError
from dithead.synth.voice import espeak as speech


def test_a_missing_library_is_reported_by_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise DitheadError("espeak-ng is not installed")

    monkeypatch.setattr(speech, "_engine", missing)
    header, samples = speech._answer({"text": "a", "voice": {"language": "en"}})
    assert header == {"error": "espeak-ng is not installed", "data": False}
    assert samples == b""


@pytest.mark.parametrize(
    ("code", "said", "error"),
    [
        (0, b'{"error": "espeak-ng is not installed", "data": false}\n', DitheadError),
        (0, b'{"error": "no voice", "data": true}\n', DataError),
        (-11, b"", DitheadError),
    ],
)
def test_what_the_child_says_becomes_an_error(
    monkeypatch: pytest.MonkeyPatch, code: int, said: bytes, error: type[DitheadError]
) -> None:
    done = subprocess.CompletedProcess([], code, said, b"")
    monkeypatch.setattr(speech.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(error):
        speech.speak("a", speech.Voice())
