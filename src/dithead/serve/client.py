"""A typed client of the REST API.

client = Client("http://127.0.0.1:8710")
job = client.generate("face.mp4", "speech.wav", "out.mp4", consent=True, options={"face": "left"})
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from dithead.errors import DitheadError, MissingExtraError
from dithead.media.files import replacing
from dithead.serve.schemas import OPEN_STATES, Info, Job, JobPage, Upload

try:
    import httpx
except ImportError:
    raise MissingExtraError("serve", "httpx") from None

PART = 8 * 2**20  # bytes of one part of an upload: what a broken connection costs at most (our choice)
_PATIENCE = 20
"""Tries in a row that may bring nothing: two and a half minutes, because the server holds the part of a connection that
broke for up to 30 seconds, and checks a whole file for up to 60."""
_LATER = (408, 409, 502, 503, 504)
"""Answers after which to ask where the upload stands: an earlier part is still being written or checked, or a proxy or
the server has no time."""


class Client:
    """A server and a key; usable as a context manager."""

    def __init__(self, server: str = "http://127.0.0.1:8710", key: str | None = None, **http: Any) -> None:
        """Connect when it is first used.

        Args:
            server: Its address.
            key: Where the server needs one.
            http: Further arguments of ``httpx.Client``.
        """
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self.http = httpx.Client(base_url=server, headers=headers, **{"timeout": 60.0} | http)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def info(self) -> Info:
        """Return what the server takes."""
        return Info.model_validate(self._ask("GET", "/v1/info").json())

    def upload(self, path: str | Path) -> Upload:
        """Send a file in parts, and return what it holds once the server has checked it.

        A part that is lost is sent again from where the server stands.

        Raises:
            DitheadError: The server refuses the file, or nothing more of it arrived for minutes.
        """
        path = Path(path)
        query = {"name": path.name, "size": path.stat().st_size}
        upload = Upload.model_validate(self._ask("POST", "/v1/uploads", params=query).json())
        in_vain = 0
        with path.open("rb") as file:
            while upload.media is None:
                before, upload = upload.offset, self._continued(upload, file, pause=min(in_vain + 1, 10))
                in_vain = 0 if upload.offset > before else in_vain + 1
                if in_vain > _PATIENCE:
                    stand = f"{upload.offset} of {upload.size} bytes have come, and nothing more in {in_vain} tries"
                    raise DitheadError(f"{path}: {stand}; check the connection and the server, and upload it again")
        return upload

    def _continued(self, upload: Upload, file: IO[bytes], pause: float) -> Upload:
        """Send the next part, which is empty where all have come and the check is missing; return where it stands."""
        file.seek(upload.offset)
        headers = {"Upload-Offset": str(upload.offset)}
        sent = self._tried("PATCH", upload.id, headers=headers, content=file.read(PART))
        if sent is None:
            time.sleep(pause)
            sent = self._tried("GET", upload.id)
        return sent or upload

    def _tried(self, method: str, upload_id: str, **request: Any) -> Upload | None:
        """Return how an upload stands; None where the connection breaks, or the server is not ready for it."""
        try:
            answer = self.http.request(method, f"/v1/uploads/{upload_id}", **request)
        except httpx.TransportError:
            return None
        return None if answer.status_code in _LATER else Upload.model_validate(self._check(answer).json())

    def create(self, request: Mapping[str, Any], idempotency_key: str | None = None) -> Job:
        """Add a job, as ``POST /v1/jobs`` describes it; repeated with the same key, it returns the first job."""
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return Job.model_validate(self._ask("POST", "/v1/jobs", json=request, headers=headers).json())

    def job(self, job_id: str) -> Job:
        """Return a job."""
        return Job.model_validate(self._ask("GET", f"/v1/jobs/{job_id}").json())

    def jobs(self) -> Iterator[Job]:
        """Yield all jobs, newest first."""
        query: dict[str, Any] = {"limit": 100}
        while True:
            page = JobPage.model_validate(self._ask("GET", "/v1/jobs", params=query).json())
            yield from page.jobs
            if page.next is None:
                return
            query["before"] = page.next

    def cancel(self, job_id: str) -> Job:
        """Cancel a job."""
        return Job.model_validate(self._ask("POST", f"/v1/jobs/{job_id}/cancel").json())

    def delete(self, job_id: str) -> None:
        """Delete a job that has ended."""
        self._ask("DELETE", f"/v1/jobs/{job_id}")

    def wait(self, job_id: str, every: float = 1.0, progress: Callable[[Job], None] = lambda _: None) -> Job:
        """Return a job once it has ended; raise DitheadError with the server's line if it failed."""
        while (job := self.job(job_id)).state in OPEN_STATES:
            progress(job)
            time.sleep(every)
        if job.error is not None:
            raise DitheadError(job.error)
        return job

    def download(self, job_id: str, output: str | Path) -> Path:
        """Save the result of a job; a file that was there is replaced once all of it has come."""
        output = Path(output)
        with self.http.stream("GET", f"/v1/jobs/{job_id}/result") as answer:
            self._check(answer)
            with replacing(output) as temporary, temporary.open("wb") as file:
                for piece in answer.iter_bytes():
                    file.write(piece)
        return output

    def generate(
        self,
        video: str | Path,
        audio: str | Path,
        output: str | Path,
        *,
        consent: bool,
        options: Mapping[str, Any] = {},
    ) -> Job:
        """Upload both files, make the video and save it, as ``dithead.generate`` does on this machine."""
        files = {role: {"upload": self.upload(path).id} for role, path in (("video", video), ("audio", audio))}
        job = self.create({**files, "options": dict(options or {}), "consent": consent})
        ended = self.wait(job.id)
        self.download(ended.id, output)
        return ended

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        return self._check(self.http.request(method, path, **request))

    @staticmethod
    def _check(answer: httpx.Response) -> httpx.Response:
        """Raise the server's line as DitheadError."""
        if answer.is_error:
            answer.read()
            is_json = answer.headers.get("content-type", "").startswith("application/json")
            raise DitheadError(answer.json()["detail"] if is_json else f"the server answered {answer.status_code}")
        return answer
