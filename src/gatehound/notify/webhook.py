"""A webhook: each event as JSON, signed so that its receiver knows whom it is from.

Signed after the Standard Webhooks specification 1.0.0: the headers webhook-id, webhook-timestamp
and webhook-signature, where a signature is "v1," and the base64 of the HMAC-SHA256 over
"id.timestamp.body". Each secret signs, so that they can be rotated.

Redirects are not followed: what is signed for one address is for nobody else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import ssl
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from gatehound._notify_rules import secret_of, webhook_of
from gatehound.model import Event
from gatehound.notify.channel import (
    DEADLINE,
    TIMEOUT,
    Notice,
    NoticeChannel,
    OutOfReach,
    Refused,
    Undelivered,
)
from gatehound.notify.deadline import Deadline

GONE: Final = 410  # Standard Webhooks, "Responding": the endpoint wants no more


class Webhook(NoticeChannel):
    """Posts each event to one URL."""

    name = "webhook"

    def __init__(self, url: str, secrets: Sequence[str], *, namespace: str) -> None:
        parts = webhook_of(url)
        self._is_plain = parts.scheme == "http"
        self._host = parts.hostname or ""
        self._port = parts.port
        self._target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        self._secrets = [secret_of(secret) for secret in secrets]
        self._namespace = namespace

    def send(self, notice: Notice) -> None:
        """Post it; anything but an answer of 200 to 299 is Undelivered."""
        body = body_of(notice.event, self._namespace)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "gatehound",
            "Connection": "close",
            **signed(f"msg_{notice.key}", int(notice.at), body, self._secrets),
        }
        status = self._post(body, headers)
        if status == GONE:
            raise Refused("the webhook answered 410, which says that it wants no more")
        if not 200 <= status < 300:
            kind = OutOfReach if status >= 500 or status == 429 else Undelivered
            raise kind(f"the webhook answered {status}")

    def _post(self, body: bytes, headers: dict[str, str]) -> int:
        link = self._connection()
        with Deadline(DEADLINE) as deadline:
            # What http.client itself connects with: it has no other way to bound all addresses.
            link._create_connection = deadline.connect  # type: ignore[attr-defined]  # not in typeshed
            try:
                link.request("POST", self._target, body, headers)
                answer = link.getresponse()  # its status says all; the body is left unread
            except (OSError, http.client.HTTPException) as error:  # ssl.SSLError is an OSError
                said = deadline.told(error)
                reason = str(said) or type(said).__name__
                raise OutOfReach(f"no answer of {self._host}: {reason}") from None
            finally:
                link.close()
        return answer.status

    def _connection(self) -> http.client.HTTPConnection:
        if self._is_plain:
            return http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
        trust = ssl.create_default_context()
        return http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT, context=trust)


def body_of(event: Event, namespace: str) -> bytes:
    """Write an event as the specification lays out a payload: type, timestamp, data."""
    said = {
        "id": event.id,
        "namespace": namespace,
        "user_id": event.user_id,
        "public_id": event.public_id,
        "reason": event.reason,
        "address": event.address,
        "notify": event.notify,
        "detail": dict(event.detail),
    }
    seconds, thousandths = divmod(int(event.at * 1000), 1000)
    at = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{thousandths:03}Z"
    return msgspec.json.encode({"type": event.name, "timestamp": at, "data": said})


def signed(key: str, at: int, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    """Return the three headers; `at` is seconds since 1970, `secrets` has one or more."""
    signing = f"{key}.{at}.".encode() + body
    signatures = (hmac.digest(secret, signing, hashlib.sha256) for secret in secrets)
    return {
        "webhook-id": key,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(one).decode()}" for one in signatures),
    }
