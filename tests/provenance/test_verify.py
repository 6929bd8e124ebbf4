"""What a file's marks say, also after someone changed it, took them away, or signed with another tool."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from typer.testing import CliRunner

import dithead
from dithead.cli import app
from dithead.errors import ConfigError, MediaError
from dithead.provenance.consent import Consent, read_consent
from dithead.provenance.keys import rotate
from dithead.provenance.manifest import Claim, Source
from dithead.provenance.media_types import sidecar_of
from dithead.provenance.read_credentials import _finding, _spans
from dithead.provenance.sign import Signer
from dithead.provenance.verify import exit_code, verify, verify_all
from dithead.provenance.verify_text import sentences

pytestmark = pytest.mark.usefixtures("configuration")


def remuxed(source: Path, target: Path) -> Path:
    """Copy the packets of the picture into a new file, as ``ffmpeg -c copy`` does."""
    with av.open(str(source)) as given, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return target


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_a_fresh_output_is_intact_and_says_what_was_redrawn(video, claim, name):
    file = video(name)
    credentials = Signer().sign(file, claim)
    result = verify(file, watermark=False)
    assert (result.verdict, result.credentials.state) == ("intact", "trusted")
    assert result.credentials.place == credentials.place == ("sidecar" if name == "a.mkv" else "embedded")
    assert result.is_synthetic is True
    (step,) = result.credentials.steps
    assert (step.tool, step.model, step.signer) == (
        f"dithead {dithead.__version__}",
        "small 0.6",
        "unnamed installation",
    )
    assert step.redrawn == claim.redrawn
    told = "\n".join(sentences(result))
    assert "signed, and unchanged since" in told
    where = "at 25 pixels from the left and 30 from the top, from 0.0 to 0.2 s, 5.0 to 6.0 s"
    assert f"redrawn: the mouth of face 1 {where}" in told
    assert "an installation of dithead made for itself" in told


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_one_flipped_byte_is_noticed(video, claim, name):
    file = video(name)
    Signer().sign(file, claim)
    content = bytearray(file.read_bytes())
    content[-300] ^= 1
    file.write_bytes(content)
    result = verify(file, watermark=False)
    assert (result.verdict, result.credentials.state) == ("altered", "invalid")
    assert "Hash.mismatch" in result.credentials.problems[0]
    assert result.credentials.steps[0].model == "small 0.6", "what it was signed as is still told"


def test_a_flipped_byte_in_the_credentials_never_passes(video, claim):
    """Every eleventh byte of the manifest store, one after the other."""
    file = video("a.mp4")
    before = file.stat().st_size
    Signer().sign(file, claim)
    content = file.read_bytes()
    start = content.index(b"uuid") - 4
    stop = start + len(content) - before
    broken = file.with_name("broken.mp4")
    step = max(1, (stop - start) // 40)
    for place in range(start + 60, stop, step):
        changed = bytearray(content)
        changed[place] ^= 0x55
        broken.write_bytes(changed)
        try:
            result = verify(broken, watermark=False)
        except MediaError:
            continue
        same = [s.redrawn for s in result.credentials.steps] == [claim.redrawn]
        assert result.verdict != "intact" or same, place


def test_stripped_of_its_credentials_a_file_is_unmarked_and_the_comment_is_quoted(video, claim):
    file = video("a.mp4")
    Signer().sign(file, claim)
    result = verify(remuxed(file, file.with_name("b.mp4")), watermark=False)
    assert (result.verdict, result.credentials.state, result.is_synthetic) == ("unmarked", "none", None)
    assert "which proves nothing" in sentences(result)[0]


def test_an_unmarked_file_is_unmarked(video):
    assert verify(video("a.mp4"), watermark=False).verdict == "unmarked"


def test_a_rotated_key_is_still_known_and_a_strangers_is_not(video, claim, tmp_path, monkeypatch):
    file = video("a.mp4")
    Signer().sign(file, claim)
    rotate()
    other = video("b.mp4")
    Signer().sign(other, claim)
    assert [verify(each, watermark=False).credentials.state for each in (file, other)] == ["trusted", "trusted"]
    monkeypatch.setenv("DITHEAD_CONFIG_DIR", str(tmp_path / "stranger"))
    result = verify(file, watermark=False)
    assert (result.verdict, result.credentials.state) == ("intact", "valid")
    assert "this machine does not know the certificate" in "\n".join(sentences(result))


def test_an_exported_certificate_makes_a_signer_known(video, claim, tmp_path, monkeypatch):
    file = video("a.mp4")
    anchor = Signer()
    anchor.sign(file, claim)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "studio.pem").write_bytes(anchor.key.anchor)
    (folder / "trust.toml").write_text('trust = ["studio.pem"]\n')
    monkeypatch.setenv("DITHEAD_CONFIG_DIR", str(folder))
    assert verify(file, watermark=False).credentials.state == "trusted"


def test_another_tools_credentials_are_read(video):
    """Signed by the library directly, as another program would, with another claim generator and no regions."""
    file = video("a.mp4")
    signer = Signer()
    definition = {
        "claim_generator_info": [{"name": "Some Camera\x1b[31m", "version": "2"}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [{
            "action": "c2pa.created",
            "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture",
        }]}}],
    }  # fmt: skip
    from dithead.provenance.c2pa_library import credentials_library, offline_context

    with offline_context() as context, credentials_library().Builder(definition, context) as builder:
        signed = file.with_name("camera.mp4")
        with file.open("rb") as source, signed.open("w+b") as target:
            builder.sign(signer._signer(), "video/mp4", source, target)
    result = verify(signed, watermark=False)
    assert (result.verdict, result.is_synthetic) == ("intact", None)
    told = "\n".join(sentences(result))
    assert "Some Camera" in told
    assert "captured by a camera" in told
    assert "\x1b" not in told


def test_credentials_at_an_address_are_named_and_not_fetched(video):
    from dithead.provenance.c2pa_library import credentials_library, offline_context

    file = video("a.mp4")
    definition = {
        "claim_generator_info": [{"name": "Some Camera", "version": "2"}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [{
            "action": "c2pa.created",
            "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture",
        }]}}],
    }  # fmt: skip
    remote = file.with_name("remote.mp4")
    with offline_context() as context, credentials_library().Builder(definition, context) as builder:
        builder.set_no_embed()
        builder.set_remote_url("https://example.com/manifest.c2pa")
        with file.open("rb") as source, remote.open("w+b") as target:
            builder.sign(Signer()._signer(), "video/mp4", source, target)
    result = verify(remote, watermark=False)
    assert (result.verdict, result.credentials.remote) == ("unmarked", "https://example.com/manifest.c2pa")
    assert "said to lie at https://example.com/manifest.c2pa; this address was not opened" in "\n".join(
        sentences(result)
    )


def test_an_unknown_person_beside_the_signer_changes_nothing_about_the_file():
    """As in files of CAWG, whose further claims have certificates of their own."""
    failure = [{"code": "cawg.x509.credential.untrusted", "explanation": "signing certificate untrusted"}]
    found = _finding({"validation_results": {"activeManifest": {"failure": failure}}}, "Valid", beside=False)
    assert (found.state, found.problems) == ("valid", ())


def test_the_history_of_an_edited_file_is_told(video, claim):
    first, second = video("first.mkv"), video("second.mp4")
    signer = Signer()
    signer.sign(first, claim)
    from dataclasses import replace

    signer.sign(second, replace(claim, sources=(Source(first, "parentOf"),)))
    steps = verify(second, watermark=False).credentials.steps
    assert len(steps) == 2
    assert steps[1].redrawn == claim.redrawn


def test_a_source_with_damaged_credentials_is_named_without_them(video, claim):
    from dataclasses import replace

    first, second = video("first.mp4"), video("second.mp4")
    signer = Signer()
    signer.sign(first, claim)
    content = bytearray(first.read_bytes())
    place = content.index(b"jumb")
    content[place : place + 4] = b"jumx"
    first.write_bytes(content)
    signer.sign(second, replace(claim, sources=(Source(first, "parentOf"),)))
    assert verify(second, watermark=False).verdict == "intact"
    assert verify(first, watermark=False).verdict == "altered"


def test_credentials_that_hide_what_the_watermark_shows_are_told(video):
    from dataclasses import replace

    from dithead.provenance.watermark_finding import WatermarkFinding

    file = video("a.mp4")
    Signer().sign(file, Claim("algorithmicMedia", "a new film"))
    plain = verify(file, watermark=False)
    result = replace(plain, watermark=WatermarkFinding(True, "found", 1e-30, 0.9, "public"))
    assert (plain.is_contradicted, result.is_contradicted, result.is_synthetic) == (False, True, True)
    assert "the Content Credentials do not mention what the watermark shows" in "\n".join(sentences(result))


def test_huge_credentials_beside_a_file_are_not_read(video):
    file = video("a.mkv")
    with sidecar_of(file).open("wb") as sidecar:
        sidecar.truncate(65 << 20)
    with pytest.raises(MediaError, match="larger than 64 MiB"):
        verify(file, watermark=False)


def test_the_worst_of_several_files_decides_the_exit_code():
    assert exit_code(["intact", "intact"]) == 0
    assert exit_code(["intact", "unmarked"]) == 1
    assert exit_code(["unmarked", "altered", "intact"]) == 3
    assert exit_code(["altered", "unreadable"]) == 2


def test_what_cannot_be_read_is_named(tmp_path):
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    with pytest.raises(MediaError, match=r"notes\.mp4: not a media file"):
        dithead.verify(text)
    with pytest.raises(MediaError, match="no such file"):
        dithead.verify(tmp_path / "nowhere.mp4")
    (tmp_path / "empty").mkdir()
    (result,) = verify_all([tmp_path / "empty"])
    assert "holds no media file" in result.error


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["verify", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_takes_folders_and_prints_an_object_a_file(video: Callable[[str], Path], claim: Claim):
    signed, plain = video("signed.mp4"), video("plain.mp4")
    Signer().sign(signed, claim)
    assert run(str(signed), "--quick")[0] == 0
    code, out, _ = run(str(signed.parent), "--json", "--quick")
    assert code == 1
    records = {Path(r["file"]).name: r for r in map(json.loads, out.splitlines())}
    assert {name: record["verdict"] for name, record in records.items()} == {
        "plain.mp4": "unmarked", "signed.mp4": "intact",
    }  # fmt: skip
    assert records["signed.mp4"]["credentials"]["steps"][0]["redrawn"][0] == [1, 0.0, 0.2, [10, 20, 30, 20]]
    assert records["signed.mp4"]["synthetic"] is True
    code, out, err = run(str(plain), str(plain.parent / "nowhere.mp4"), "--quick")
    assert code == 2
    assert err.startswith("dithead: ")
    assert err.count("\n") == 1


def test_verifying_loads_no_torch(video):
    code = (
        f"import sys, dithead; dithead.verify({str(video('a.mp4'))!r}, watermark=False); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(("start", "end"), [("nan", "1"), ("0", "inf"), ("-inf", "nan")])
def test_times_that_are_no_numbers_are_left_out(start, end):
    """Python reads them as numbers, and JSON has none of them."""
    region = [{"type": "temporal", "time": {"start": start, "end": end}}]
    assert list(_spans([{"changes": [{"name": "face 1", "region": region}]}])) == []
    region[0]["time"] = {"start": "0", "end": "1"}
    assert len(list(_spans([{"changes": [{"name": "face 1", "region": region}]}]))) == 1


@pytest.mark.parametrize(
    "sentence", ["本人同意使用我的声音和/或形象", "音声と画像/映像の使用に同意します", "ยินยอมให้ใช้เสียง/ภาพ"]
)
def test_a_consent_without_spaces_may_have_a_slash(sentence):
    assert read_consent(sentence) == Consent(sentence)


@pytest.mark.parametrize("name", ["consents/mia", "同意/文件.txt", r"C:\Müller\zusage", "zusage.pdf"])
def test_a_mistyped_path_is_no_consent(name):
    with pytest.raises(ConfigError, match="no such file"):
        read_consent(name)
