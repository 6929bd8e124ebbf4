"""What a file says of its sound is kept while the file stays the same."""

from pathlib import Path

import numpy as np
import pytest

from dithead.errors import MediaError
from dithead.media.audio import write_audio
from dithead.media.sound_header import sound_header, stated_seconds, time_zero


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_audio(path, np.zeros(1600, np.float32), 16000)
    first = sound_header(path)
    write_audio(path, np.zeros(2400, np.float32), 24000)
    assert (first.rate, sound_header(path).rate) == (16000, 24000)
    assert first[1:4] == (1, "mono", 1)


def test_an_unchanged_file_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    write_audio(path, np.zeros(1600, np.float32), 16000)
    known = sound_header(path), time_zero(path), stated_seconds(path)
    monkeypatch.setattr("dithead.media.sound_header.open_media", lambda path: pytest.fail("opened again"))
    assert (sound_header(path), time_zero(path), stated_seconds(path)) == known
    assert known[1:] == (None, float("inf"))


def test_a_file_that_is_gone_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_audio(path, np.zeros(1600, np.float32), 16000)
    sound_header(path)
    path.unlink()
    with pytest.raises(MediaError, match="no such file"):
        sound_header(path)
