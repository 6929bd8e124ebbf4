"""A machine without espeak-ng reports one clear error."""

import subprocess

import pytest

from dithead.errors import DataError, DitheadError
from dithead.synth.voice import espeak


def test_a_missing_library_is_reported_by_the_child_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise DitheadError("espeak-ng is not installed")

    monkeypatch.setattr(espeak, "_library", missing)
    header, samples = espeak._answer({"text": "a", "voice": {"language": "en"}})
    assert header == {"error": "espeak-ng is not installed", "data": False}
    assert samples == b""


@pytest.mark.parametrize(
    ("code", "printed", "error"),
    [
        (0, b'{"error": "espeak-ng is not installed", "data": false}\n', DitheadError),
        (0, b'{"error": "no voice", "data": true}\n', DataError),
        (-11, b"", DitheadError),
    ],
)
def test_what_the_child_process_prints_becomes_an_error(
    monkeypatch: pytest.MonkeyPatch, code: int, printed: bytes, error: type[DitheadError]
) -> None:
    done = subprocess.CompletedProcess([], code, printed, b"")
    monkeypatch.setattr(espeak.subprocess, "run", lambda *_, **__: done)
    with pytest.raises(error):
        espeak.speak("a", espeak.EspeakVoice())
