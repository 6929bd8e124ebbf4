"""An installation's own watermark key: read from trust.toml, used to mark, searched for, and never guessed."""

from pathlib import Path

import pytest

from dithead.errors import ConfigError
from dithead.inference.output_watermark import OutputWatermark
from dithead.options import SamplingOptions
from dithead.provenance.watermark import PUBLIC_KEY
from dithead.provenance.watermark_keys import known_keys, marking_key

OWN, OLD = bytes(range(32)), b"the key of last year"


@pytest.fixture
def own_keys(configuration: Path) -> Path:
    """A configuration that names two keys."""
    configuration.mkdir()
    (configuration / "mark.key").write_bytes(OWN)
    (configuration / "old.key").write_bytes(OLD)
    (configuration / "trust.toml").write_text('watermark_keys = ["mark.key", "old.key"]\n')
    return configuration


def test_without_configuration_the_public_key_marks_and_is_searched_for(configuration: Path) -> None:
    assert marking_key() == PUBLIC_KEY
    assert known_keys() == (PUBLIC_KEY,)
    mark = OutputWatermark(SamplingOptions())
    assert (mark.key_kind, mark.notes()) == ("public", [])


def test_the_first_key_marks_and_all_are_searched_for(own_keys: Path) -> None:
    mark = OutputWatermark(SamplingOptions())
    marker = mark.marker("small", "live")
    assert marker is not None
    assert (marker.key, mark.key_kind) == (OWN, "own")
    assert known_keys() == (OWN, OLD, PUBLIC_KEY)


def test_what_is_kept_of_a_job_tells_another_key_but_not_the_secret(own_keys: Path) -> None:
    before = OutputWatermark(SamplingOptions()).key_record()
    (own_keys / "mark.key").write_bytes(b"another secret of other length")
    assert OutputWatermark(SamplingOptions()).key_record() != before
    assert OWN.hex() not in str(before)


@pytest.mark.parametrize(
    ("content", "says"), [(b"short", "16 to 4096 bytes"), (bytes(5000), "16 to 4096"), (None, "cannot be read")]
)
def test_a_file_that_is_no_key_is_named(own_keys: Path, content: bytes | None, says: str) -> None:
    (own_keys / "mark.key").unlink()
    if content is not None:
        (own_keys / "mark.key").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"mark\.key: .*{says}"):
        OutputWatermark(SamplingOptions())
    assert OutputWatermark(SamplingOptions(watermark=False)).key_kind == "off"
