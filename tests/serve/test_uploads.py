"""Uploads: whole, in parts and resumed; judged by their content; never a path of the disk."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dithead.errors import MediaError, MissingExtraError
from dithead.serve.content_check import Face, inspect_file
from dithead.serve.errors import ApiError
from dithead.serve.inspector import Inspector
from dithead.serve.keys import LOCAL
from dithead.serve.options import ServeOptions
from dithead.serve.storage import Storage
from dithead.serve.views import safe_file_name


def test_an_upload_comes_in_parts_and_goes_on_where_it_broke_off(server, files):
    content = files["mia.mp4"].read_bytes()
    half = len(content) // 2
    begun = server.client.post(
        "/v1/uploads", params={"name": "mia.mp4", "size": len(content)}, content=content[:half]
    ).json()
    assert (begun["offset"], begun["media"]) == (half, None)
    path = f"/v1/uploads/{begun['id']}"
    wrong = server.client.patch(path, headers={"Upload-Offset": "0"}, content=content)
    assert (wrong.status_code, wrong.json()["detail"]) == (409, f"mia.mp4: the next part begins at {half}, not at 0")
    job = server.client.post("/v1/jobs", json=server.body(files, video={"upload": begun["id"]}))
    assert (job.status_code, job.json()["detail"]) == (409, "mia.mp4: has not come whole; send the rest first")
    assert server.client.get(path).headers["upload-offset"] == str(half)
    done = server.client.patch(path, headers={"Upload-Offset": str(half)}, content=content[half:]).json()
    assert (done["offset"], done["media"]["kind"], done["media"]["width"]) == (len(content), "video", 256)
    again = server.client.patch(path, headers={"Upload-Offset": str(len(content))}, content=b"more")
    assert again.status_code == 409


def test_a_part_is_refused_where_the_rest_of_a_broken_one_came_before_it(server, monkeypatch):
    upload = server.client.post("/v1/uploads", params={"name": "a.mp4", "size": 8}).json()
    content = server.state.storage.upload(upload["id"]) / "content"
    look = server.state.uploads.get

    def look_before_the_rest_comes(owner, upload_id):
        found = look(owner, upload_id)
        content.write_bytes(b"01")
        return found

    monkeypatch.setattr(server.state.uploads, "get", look_before_the_rest_comes)
    answer = server.client.patch(f"/v1/uploads/{upload['id']}", headers={"Upload-Offset": "0"}, content=b"012345")
    assert (answer.status_code, answer.json()["detail"]) == (409, "a.mp4: the next part begins at 2, not at 0")
    assert content.read_bytes() == b"01"


def test_what_has_come_stays_when_the_client_goes_away(server):
    begun = server.client.post("/v1/uploads", params={"name": "a.mp4", "size": 10}).json()
    pieces = [{"type": "http.disconnect"}, {"type": "http.request", "body": b"1234", "more_body": True}]

    async def receive() -> dict[str, Any]:
        return pieces.pop()

    async def send(_: dict[str, Any]) -> None:
        """Nobody listens any more."""

    headers = [(b"host", b"127.0.0.1"), (b"upload-offset", b"0"), (b"content-length", b"10")]
    scope = {"type": "http", "method": "PATCH", "path": f"/v1/uploads/{begun['id']}", "headers": headers,
             "query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1"}  # fmt: skip
    asyncio.run(server.app(scope, receive, send))
    assert server.client.get(f"/v1/uploads/{begun['id']}").json()["offset"] == 4


def test_more_than_was_promised_is_refused_and_what_came_stays(server):
    begun = server.client.post("/v1/uploads", params={"name": "a.mp4", "size": 10}, content=b"12345").json()
    answer = server.client.patch(f"/v1/uploads/{begun['id']}", headers={"Upload-Offset": "5"}, content=b"6789012345")
    assert answer.status_code == 413
    assert server.client.get(f"/v1/uploads/{begun['id']}").json()["offset"] == 5


@pytest.mark.parametrize("name", ["notes.txt", "cut off.mp4", "empty"])
def test_what_is_no_media_file_is_refused_with_the_line_of_the_command_and_deleted(server, files, name):
    content = {"notes.txt": files["notes.txt"].read_bytes(), "cut off.mp4": files["mia.mp4"].read_bytes()[:300]}
    answer = server.client.post("/v1/uploads", params={"name": name}, content=content.get(name, b""))
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(f"{name}: ")
    assert "uploads/" not in answer.json()["detail"]
    assert not list(server.state.storage.ids("uploads"))
    assert server.client.get("/v1/uploads").json() == {"uploads": []}


def test_faces_are_shown_by_number(server, files):
    upload = server.upload(files["mia.mp4"])
    faces = server.client.get(f"/v1/uploads/{upload['id']}/faces").json()["faces"]
    assert [(face["number"], face["shot"]) for face in faces] == [(1, 1)]
    picture = server.client.get(faces[0]["picture"])
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.content.startswith(b"\xff\xd8")
    assert server.client.get(f"/v1/uploads/{upload['id']}/faces/face_9_9.jpg").status_code == 404
    speech = server.upload(files["speech.wav"])
    assert server.client.get(f"/v1/uploads/{speech['id']}/faces").status_code == 422


def test_a_deleted_upload_leaves_its_jobs_their_files(server, files, quick):
    body = server.body(files)
    job = server.client.post("/v1/jobs", json=body).json()
    for role in ("video", "audio"):
        assert server.client.delete(f"/v1/uploads/{body[role]['upload']}").status_code == 204
    server.work()
    assert server.job(job["id"])["state"] == "done"


def test_an_upload_that_is_deleted_while_a_job_is_made_of_it_stops_no_other_job(server, files, monkeypatch):
    bad, good = server.body(files), server.body(files)
    find = server.state.jobs.finder.find

    def find_then_delete(owner, request):
        found = find(owner, request)
        if request.video.upload == bad["video"]["upload"]:
            server.state.uploads.delete(owner, request.audio.upload)
        return found

    monkeypatch.setattr(server.state.jobs.finder, "find", find_then_delete)
    batch = server.client.post("/v1/batches", json={"jobs": [bad, good]}).json()
    assert [item["error"] for item in batch["items"]] == ["there is no such upload; it may have been deleted", None]
    assert list(server.state.storage.ids("jobs")) == [batch["items"][1]["job"]["id"]], "no folder of the other one"


def test_a_disk_that_takes_no_file_is_said(server, files, monkeypatch):
    body = server.body(files)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("dithead.serve.storage.os.link", full)
    monkeypatch.setattr("dithead.serve.storage.shutil.copy2", full)
    answer = server.client.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.json()["detail"]) == (
        507, "mia.mp4: cannot be kept (No space left on device); try again later"
    )  # fmt: skip
    assert not list(server.state.storage.ids("jobs"))


def test_an_upload_that_is_deleted_while_its_faces_are_found_is_gone(server, files, monkeypatch):
    upload = server.upload(files["mia.mp4"])

    def delete(*_: object) -> list[Face]:
        server.state.uploads.delete(LOCAL, upload["id"])
        return []

    monkeypatch.setattr(server.state.inspector, "faces", delete)
    assert server.client.get(f"/v1/uploads/{upload['id']}/faces").status_code == 404


def test_files_of_allowed_folders_are_named_and_no_others(make_server, files, tmp_path):
    folder, secret = tmp_path / "clips", tmp_path / "secret.mp4"
    folder.mkdir()
    for name in ("mia.mp4", "speech.wav"):
        (folder / name).write_bytes(files[name].read_bytes())
    secret.write_bytes(files["mia.mp4"].read_bytes())
    (folder / "link.mp4").symlink_to(secret)
    (folder / "circle.mp4").symlink_to(folder / "circle.mp4")
    server = make_server(folders=(folder,))
    body = {"video": {"file": "clips/mia.mp4"}, "audio": {"file": "clips/speech.wav"}, "consent": True}
    answer = server.client.post("/v1/jobs", json=body)
    assert answer.status_code == 201
    assert answer.json()["inputs"]["video"]["name"] == "mia.mp4"
    refused = [
        "clips/../secret.mp4", "clips/link.mp4", str(secret), "/etc/passwd", "other/mia.mp4", "clips", "clips/none.mp4",
        "../secret.mp4", "clips/a\0b", "clips//../../secret.mp4", "file:///etc/passwd", "http://127.0.0.1/mia.mp4",
        "clips/" + 300 * "n", "clips/circle.mp4",
    ]  # fmt: skip
    lines = set()
    for name in refused:
        answer = server.client.post("/v1/jobs", json=body | {"video": {"file": name}})
        assert answer.status_code == 422, name
        lines.add(answer.json()["detail"].partition(": ")[2])
    assert lines == {"no file of an allowed folder; name it as FOLDER/FILE, see /v1/info"}
    assert (
        server.client.post("/v1/jobs", json=body | {"video": {}}).json()["detail"]
        == "video: give either upload or file"
    )


@pytest.mark.parametrize("name", ["../x.mp4", "a/b.mp4", "a\\b.mp4", "a\nb.mp4", "", "x" * 300])
def test_a_name_that_is_a_path_is_refused(server, name):
    assert server.client.post("/v1/uploads", params={"name": name, "size": 5}).status_code == 422


@pytest.mark.parametrize("upload_id", ["..", "%2e%2e%2fkeys", "ABCDEF", "0" * 23, "0" * 25, "g" * 24])
def test_an_id_that_is_none_reaches_no_disk(server, upload_id):
    assert server.client.get(f"/v1/uploads/{upload_id}").status_code in (404, 422)
    assert server.client.get(f"/v1/jobs/{upload_id}/result").status_code in (404, 422)


def test_only_ids_become_folders(tmp_path):
    with pytest.raises(AssertionError):
        Storage(tmp_path).job("../../etc")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("Anna & Ben.mov", "Anna-Ben.mp4"), ("../../etc/passwd", "passwd.mp4"), ("话.mp4", "话.mp4"),
        ("...", "video.mp4"),
        ("CON:*?", "CON.mp4"), ("x" * 300, "x" * 80 + ".mp4"),
    ],
)  # fmt: skip
def test_downloads_have_names_that_every_disk_takes(name, safe):
    assert safe_file_name(name) == safe


def test_limits_of_size_length_pixels_and_count(make_server, files):
    small = make_server(max_upload=0.001)
    answer = small.client.post("/v1/uploads", params={"name": "a.mp4", "size": 10**6})
    assert answer.status_code == 413
    server = make_server(max_minutes=0.01, max_uploads=1)
    answer = server.client.post(
        "/v1/uploads", params={"name": "long.wav"}, content=_wave(2.0, files["speech.wav"].parent)
    )
    assert answer.json()["detail"] == "long.wav: lasts 2.0 s; this server takes 0.6 at most"
    server.upload(files["mia.mp4"])
    answer = server.client.post("/v1/uploads", params={"name": "a.mp4", "size": 5})
    assert (answer.status_code, answer.json()["detail"]) == (
        429, "there are 1 uploads already; delete some of them"
    )  # fmt: skip
    tiny = make_server(max_megapixels=0.01, max_uploads=9)
    answer = tiny.client.post("/v1/uploads", params={"name": "m.mp4"}, content=files["mia.mp4"].read_bytes())
    assert answer.json()["detail"] == "m.mp4: a frame has 0.1 megapixels; this server takes 0.01 at most"


def test_no_more_uploads_than_allowed_are_made_at_once(make_server):
    uploads = make_server(max_uploads=3).state.uploads

    def create(number: int) -> bool:
        try:
            return bool(uploads.create(LOCAL, f"{number}.mp4", 10))
        except ApiError:
            return False

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(create, range(16))) == 3
    assert len(list(uploads.storage.ids("uploads"))) == 3, "the folders of refused uploads are gone"


def test_bytes_that_are_promised_to_others_are_not_promised_again(make_server, monkeypatch):
    server = make_server(min_free=1.0)
    free = 1.5 * 2**30
    monkeypatch.setattr(server.state.storage, "free_bytes", lambda: free)
    size = 300 * 2**20
    answers = [server.client.post("/v1/uploads", params={"name": "a.mp4", "size": size}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 507]
    where = f"/v1/uploads/{answers[0].json()['id']}"
    server.client.patch(where, headers={"Upload-Offset": "0"}, content=b"x" * 2**20)
    free -= 2**20  # what has come is no promise any more, and takes its room
    rest = 1.5 * 2**30 - 2**30 - size
    assert server.client.post("/v1/uploads", params={"name": "a.mp4", "size": int(rest) + 1}).status_code == 507
    assert server.client.post("/v1/uploads", params={"name": "a.mp4", "size": int(rest)}).status_code == 201


def _wave(seconds: float, folder: Path) -> bytes:
    from dithead.media.audio import write_audio

    write_audio(folder / "long.wav", np.zeros(round(seconds * 16000), np.float32), 16000)
    return (folder / "long.wav").read_bytes()


def test_a_picture_that_unpacks_to_gigabytes_is_refused_by_its_head(tmp_path):
    """A PNG of 300 bytes that claims 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = (60000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10**5))) + chunk(b"IEND", b"")
    )
    with pytest.raises(Exception, match="bomb.png: claims more pixels than are read"):
        inspect_file(bomb, 60.0, 9e6)


def _die(*_: object) -> None:
    import os

    os.kill(os.getpid(), 9)


def _hang(*_: object) -> None:
    import time

    time.sleep(60)


def test_a_file_that_kills_or_hangs_its_decoder_costs_that_process_only(files, tmp_path):
    inspector = Inspector(ServeOptions(data=tmp_path), longest=20.0)
    try:
        with pytest.raises(Exception, match="evil.mp4: takes too much time or memory"):
            inspector._ask(_die, "evil.mp4", files["mia.mp4"])
        assert inspector.inspect(files["mia.mp4"], "mia.mp4").width == 256
        inspector.longest = 0.2
        with pytest.raises(Exception, match="slow.mp4: takes too much time or memory"):
            inspector._ask(_hang, "slow.mp4", files["mia.mp4"])
    finally:
        inspector.close()


def _lack(path: Path) -> None:
    raise MissingExtraError("heic", f"pi-heif, which reads {path}")


def test_a_missing_extra_is_said_once_and_with_the_clients_name(tmp_path):
    inspector = Inspector(ServeOptions(data=tmp_path))
    path = tmp_path / "content"
    try:
        with pytest.raises(MissingExtraError) as raised:
            inspector._ask(_lack, "anna.heic", path, path)
    finally:
        inspector.close()
    assert str(raised.value) == (
        "pi-heif, which reads anna.heic is not installed; install it with: pip install 'dithead[heic]'"
    )
    assert raised.value.extra == "heic"


def test_a_search_for_the_watermark_delays_no_upload_and_has_a_limit_of_its_own(tmp_path, files, monkeypatch):
    monkeypatch.setattr("dithead.serve.inspector.statements", _hang)
    inspector = Inspector(ServeOptions(data=tmp_path))
    ask = partial(inspector.statements, files["mia.mp4"], "a.mp4", watermark=True)
    with ThreadPoolExecutor(1) as threads:
        try:
            search = threads.submit(ask)
            assert inspector.inspect(files["mia.mp4"], "mia.mp4").width == 256
            assert not search.done()
        finally:
            inspector.close()
        assert isinstance(search.exception(10), MediaError), "closing ends it"
    inspector = Inspector(ServeOptions(data=tmp_path), longest_search=0.2)
    ask = partial(inspector.statements, files["mia.mp4"], "a.mp4", watermark=True)
    with pytest.raises(
        MediaError, match=r"^a.mp4: takes more than 0.2 s .* to search; download it, and use: dithead verify"
    ):
        ask()
    inspector.close()


def test_who_asks_too_much_at_once_is_told_to_come_back_and_keeps_the_upload(make_server, files, monkeypatch):
    monkeypatch.setattr("dithead.serve.inspector._MOST_ASKED", 0)
    server = make_server()
    server.state.uploads.inspector = Inspector(server.state.options)
    content = files["speech.wav"].read_bytes()
    begun = server.client.post("/v1/uploads", params={"name": "speech.wav", "size": len(content)}).json()
    path = f"/v1/uploads/{begun['id']}"
    answer = server.client.patch(path, headers={"Upload-Offset": "0"}, content=content)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert answer.json()["detail"] == "the server is looking into other files; try again in a moment"
    server.state.uploads.inspector = server.state.inspector
    again = server.client.patch(path, headers={"Upload-Offset": str(len(content))})
    assert again.json()["media"]["kind"] == "audio"


def test_no_more_requests_wait_for_the_inspector_than_it_takes(tmp_path, files, monkeypatch):
    monkeypatch.setattr("dithead.serve.inspector._MOST_ASKED", 2)
    goes_on = threading.Event()
    monkeypatch.setattr("dithead.serve.inspector._new_pool", _in_a_thread)
    inspector = Inspector(ServeOptions(data=tmp_path))
    ask = partial(inspector._ask, goes_on.wait, "a.mp4", files["mia.mp4"])
    with ThreadPoolExecutor(2) as waiting:
        asked = [waiting.submit(ask) for _ in range(2)]
        while inspector._files._room._value:
            time.sleep(0.01)
        with pytest.raises(ApiError, match="try again in a moment"):
            ask()
        goes_on.set()
        assert all(each.result(10) for each in asked)
    assert ask()
    inspector.close()


def _in_a_thread() -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(1)
    pool._processes = {}
    return pool
