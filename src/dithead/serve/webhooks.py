"""Calls the webhook of a job that has ended, signed as the Standard Webhooks specification says.

https://www.standardwebhooks.com: the signature is HMAC-SHA-256 over ``ID.TIME.BODY``, in base64 after ``v1,``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from typing import Any

from dithead.serve.schemas import Job

TIMEOUT = 10.0  # seconds that the other side has to answer (our choice)
ATTEMPTS, FIRST_WAIT, BACKOFF = 8, 5.0, 2.5
"""Eight attempts within about an hour: 5 s after the first, then each time 2.5 times as long (our choice)."""


class WebhookError(Exception):
    """The other side did not take the call."""


def webhook_secret(secret: bytes, owner_id: str) -> str:
    """Return the secret of a key's webhooks, which the server derives from its own and need not store."""
    derived = hmac.new(secret, b"webhook " + owner_id.encode(), hashlib.sha256).digest()
    return "whsec_" + base64.b64encode(derived).decode()


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of the header ``webhook-signature``.

    Args:
        secret: What ``webhook_secret`` returns; the other side gets it from ``GET /v1/session``.
        message_id: The header ``webhook-id``.
        timestamp: The header ``webhook-timestamp``.
        body: The bytes that are sent.
    """
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none, so that an allowed host cannot send the call to one that is not."""


def deliver(address: str, job: Job, secret: str) -> None:
    """Send the job's end to an address.

    Raises:
        WebhookError: The other side did not answer with a status of 200 to 299.
    """
    body = json.dumps({"type": f"job.{job.state}", "data": job.model_dump(mode="json")}).encode()
    now = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": job.id,
        "webhook-timestamp": str(now),
        "webhook-signature": signature(secret, job.id, now, body),
    }
    request = urllib.request.Request(address, body, headers, method="POST")  # noqa: S310  # jobs check the scheme
    opener = urllib.request.build_opener(_NoRedirects, urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT) as response:
            if not 200 <= response.status < 300:
                raise WebhookError(f"status {response.status}")
    except (OSError, urllib.error.HTTPError) as error:
        raise WebhookError(type(error).__name__) from None
