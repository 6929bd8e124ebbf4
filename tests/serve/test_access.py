"""Who may do what: keys, cookies, other sites, limits of a key, and what the log may say."""

from __future__ import annotations

import json
import logging
from io import StringIO

import pytest
import sqlalchemy as sa

from dithead.errors import ConfigError
from dithead.serve.database import JOBS, KEYS
from dithead.serve.keys import owner_of_session, sign_session
from dithead.serve.logs import JsonLines
from dithead.serve.server import run_server


def test_a_key_is_needed_once_there_is_one_and_is_stored_as_a_hash(server):
    assert server.client.get("/v1/jobs").status_code == 200
    key = server.state.keys.add("anna")
    answer = server.client.get("/v1/jobs")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert server.client.get("/v1/jobs", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert server.client.get("/v1/jobs", headers={"Authorization": f"Bearer {key}x"}).status_code == 401
    assert server.client.get("/metrics").status_code == 401
    for path in ("/healthz", "/v1/info", "/"):
        assert server.client.get(path).status_code == 200
    with server.state.engine.connect() as c:
        assert key not in str(c.execute(sa.select(KEYS)).all())
    with pytest.raises(ConfigError, match="there is a key 'anna' already"):
        server.state.keys.add("anna")
    server.state.keys.revoke("anna")
    with pytest.raises(ConfigError, match="there is no key 'anna'"):
        server.state.keys.revoke("anna")


def test_one_key_never_sees_what_another_one_has(server, files):
    anna, ben = ({"Authorization": f"Bearer {server.state.keys.add(name)}"} for name in ("anna", "ben"))
    server.client.headers.update(anna)
    job = server.add(files)
    upload = server.upload(files["mia.mp4"])
    server.client.headers.update(ben)
    paths = [f"/v1/jobs/{job['id']}{end}" for end in ("", "/events", "/result", "/files/video", "/credentials")]
    paths += [f"/v1/uploads/{upload['id']}{end}" for end in ("", "/faces", "/faces/face_1_1.jpg")]
    for path in paths:
        assert server.client.get(path).status_code == 404, path
    for path in (f"/v1/jobs/{job['id']}", f"/v1/uploads/{upload['id']}"):
        assert server.client.delete(path).status_code == 404
    assert server.client.post(f"/v1/jobs/{job['id']}/cancel").status_code == 404
    assert server.client.patch(f"/v1/uploads/{upload['id']}", headers={"Upload-Offset": "0"}).status_code == 404
    assert server.client.get("/v1/jobs").json()["jobs"] == []
    answer = server.client.post("/v1/jobs", json=server.body(files, video={"upload": upload["id"]}))
    assert answer.status_code == 404


def test_limits_of_a_key(server, files):
    key = server.state.keys.add("anna", max_jobs=1, max_storage=0.001)
    server.client.headers["Authorization"] = f"Bearer {key}"
    body = server.body(files)
    assert server.client.post("/v1/jobs", json=body).status_code == 201
    answer = server.client.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.json()["detail"]) == (
        429, "1 jobs have not ended; wait for one of them, or cancel it"
    )  # fmt: skip
    assert len(list(server.state.storage.ids("jobs"))) == 1, "the folder of the refused job is gone"
    answer = server.client.post("/v1/uploads", params={"name": "big.mp4", "size": 2 * 2**20})
    assert (answer.status_code, answer.json()["detail"]) == (
        429, "big.mp4: no room is left of 0.001 GB; delete jobs or uploads"
    )  # fmt: skip
    session = server.client.get("/v1/session").json()
    assert (session["name"], session["open_jobs"], session["max_jobs"]) == ("anna", 1, 1)


def test_a_key_whose_results_fill_its_storage_adds_no_job_until_it_deletes_some(make_server, files, quick):
    server = make_server(max_storage=0.001)
    body = server.body(files)
    job = server.client.post("/v1/jobs", json=body).json()
    server.work()
    with server.state.engine.begin() as c:
        c.execute(JOBS.update().values(bytes=2**30))
    answer = server.client.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.json()["detail"]) == (
        429, "mia: no room is left of 0.001 GB; delete jobs or uploads"
    )  # fmt: skip
    assert list(server.state.storage.ids("jobs")) == [job["id"]], "the folder of the refused job is gone"
    server.client.delete(f"/v1/jobs/{job['id']}")
    assert server.client.post("/v1/jobs", json=body).status_code == 201


def test_a_browser_signs_in_with_a_cookie_that_scripts_cannot_read(server):
    key = server.state.keys.add("anna")
    assert server.client.post("/v1/session", json={"key": "wrong"}).status_code == 401
    answer = server.client.post("/v1/session", json={"key": key})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert key.lower() not in cookie
    assert server.client.get("/v1/jobs").status_code == 200
    server.state.keys.revoke("anna")
    server.state.keys.add("ben")
    assert server.client.get("/v1/jobs").status_code == 401, "a revoked key ends its sessions"


def test_sessions_are_signed_and_expire(monkeypatch):
    cookie = sign_session("abc", b"secret")
    assert owner_of_session(cookie, b"secret") == "abc"
    assert owner_of_session(cookie, b"other") is None
    assert owner_of_session(cookie.replace("abc", "abd"), b"secret") is None
    for forged in ("", ".", "a.b.c", "é.1.2"):
        assert owner_of_session(forged, b"secret") is None
    monkeypatch.setattr("dithead.serve.keys.time.time", lambda: 4e9)
    assert owner_of_session(cookie, b"secret") is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:9999"}, {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    ],
)  # fmt: skip
def test_another_site_changes_nothing(server, headers):
    answer = server.client.post("/v1/uploads", params={"name": "a", "size": 1}, headers=headers)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    assert not server.client.get("/v1/uploads").json()["uploads"]


def test_our_own_page_may(server):
    headers = {"Origin": "http://127.0.0.1:8710", "Sec-Fetch-Site": "same-origin"}
    assert server.client.post("/v1/uploads", params={"name": "a", "size": 9}, headers=headers).status_code == 201


def test_another_site_reads_nothing_and_no_other_name_leads_here(make_server):
    server = make_server(site=("talk.example",))
    assert server.client.get("/v1/jobs", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    for host, status in (("evil.example", 421), ("talk.example", 200), ("localhost:8710", 200), ("127.0.0.1", 200),
                         ("[::1]:8710", 200), ("", 421), ("127.0.0.1@evil.example", 421), ("a b", 421), ("[", 421),
                         ("127.0.0.1]", 421)):  # fmt: skip
        assert server.client.get("/v1/info", headers={"Host": host}).status_code == status, host
    preflight = server.client.options("/v1/jobs", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in preflight.headers


@pytest.mark.parametrize("path", ["/", "/v1/info", "/v1/jobs/" + "0" * 24, "/nothing"])
def test_every_response_is_hardened(server, path):
    headers = server.client.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


def test_https_makes_cookies_secure(make_server):
    server = make_server(https=True)
    key = server.state.keys.add("anna")
    answer = server.client.post("/v1/session", json={"key": key})
    assert "secure" in answer.headers["set-cookie"].lower()
    assert answer.headers["strict-transport-security"]


def test_a_large_request_is_refused_whether_it_says_so_or_not(server):
    huge = b"[" + b" " * 2**21 + b"]"
    answer = server.client.post("/v1/jobs", content=huge, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413

    def pieces():
        for _ in range(40):
            yield b" " * 65536

    answer = server.client.post("/v1/jobs", content=pieces(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def test_beyond_loopback_a_key_is_needed_to_start(make_server):
    server = make_server(host="0.0.0.0")
    assert server.client.get("/v1/jobs").status_code == 401, "needed even while there is none"
    with pytest.raises(ConfigError, match="so the server needs a key; make one with: dithead api-keys add NAME"):
        run_server(server.state.options)


@pytest.mark.parametrize("options", [{"site": ("talk.example",)}, {"https": True}])
def test_behind_a_proxy_a_key_is_needed_even_on_loopback(make_server, options):
    server = make_server(**options)
    assert server.client.get("/v1/jobs").status_code == 401
    assert server.client.get("/v1/info").json()["needs_key"]
    with pytest.raises(ConfigError, match="others can reach the server .* dithead api-keys add NAME"):
        run_server(server.state.options)
    key = server.state.keys.add("anna")
    assert server.client.get("/v1/jobs", headers={"Authorization": f"Bearer {key}"}).status_code == 200


def test_revoking_the_last_key_opens_no_server(server):
    key = server.state.keys.add("anna")
    server.client.post("/v1/session", json={"key": key})
    with pytest.raises(ConfigError, match="there are keys .anna.; revoke them first"):
        server.state.keys.open()
    server.state.keys.revoke("anna")
    assert server.client.get("/v1/jobs").status_code == 401
    assert server.client.get("/v1/info").json()["needs_key"]
    with pytest.raises(ConfigError, match="had keys and none is left, .* dithead api-keys open"):
        run_server(server.state.options)
    server.state.keys.add("ben")
    server.state.keys.revoke("ben")
    server.state.keys.open()
    assert server.client.cookies, "the browser still has the cookie of the key that is gone"
    assert server.client.get("/v1/session").json()["name"] == "local"
    assert not server.client.get("/v1/info").json()["needs_key"]


def test_the_log_says_nothing_private(server, files, quick):
    lines = StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("dithead")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.DEBUG)
    key = server.state.keys.add("anna-private")
    try:
        server.client.headers["Authorization"] = f"Bearer {key}"
        job = server.add({**files, "mia.mp4": files["mia.mp4"]}, name="private name")
        server.work()
        server.client.get(f"/v1/jobs/{job['id']}?token=private")
        try:
            raise ValueError("private words of a fault")
        except ValueError:
            logging.getLogger("dithead.serve").exception("a fault")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    text = lines.getvalue()
    found = [json.loads(line) for line in text.splitlines()]
    assert {"job started", "job ended", "request", "a fault"} <= {line["message"] for line in found}
    assert any(line.get("route") == "/v1/jobs/{job_id}" for line in found)
    for secret in ("private", "mia", "speech", key, "testclient"):
        assert secret not in text.replace("test_the_log_says_nothing_private", ""), secret
