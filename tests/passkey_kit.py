"""An authenticator in software: makes passkeys and signs with them, as a browser hands them on.

Web Authentication Level 2: 6.1 (authenticator data), 6.5.4 (attestation "none"), 5.8.1 (client
data). It verifies its user every time, and asks nobody.
"""

from __future__ import annotations

import hashlib
import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

CURVE = ec.SECP256R1()
FLAGS_PRESENT_VERIFIED = 0x05
FLAG_ATTESTED = 0x40


def text(data: bytes) -> str:
    """Write bytes as browsers do in JSON."""
    return urlsafe_b64encode(data).decode().rstrip("=")


@dataclass
class Authenticator:
    """Holds one passkey."""

    origin: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(CURVE))
    id: bytes = field(default_factory=lambda: os.urandom(16))
    handle: str = ""
    count: int = 0

    def make(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer the options of a registration."""
        self.handle = options["user"]["id"]
        numbers = self.key.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        public = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})  # RFC 9053, 7.1.1: EC2, ES256
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + public
        data = self._data(options["rp"]["id"], FLAGS_PRESENT_VERIFIED | FLAG_ATTESTED) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        said = self._said("webauthn.create", options)
        return self._credential(clientDataJSON=text(said), attestationObject=text(attestation))

    def sign(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer the options of a sign-in."""
        self.count += 1
        data = self._data(options["rpId"], FLAGS_PRESENT_VERIFIED)
        said = self._said("webauthn.get", options)
        signature = self.key.sign(data + hashlib.sha256(said).digest(), ec.ECDSA(hashes.SHA256()))
        return self._credential(
            clientDataJSON=text(said),
            authenticatorData=text(data),
            signature=text(signature),
            userHandle=self.handle,
        )

    def _data(self, host: str, flags: int) -> bytes:
        return hashlib.sha256(host.encode()).digest() + bytes([flags]) + self.count.to_bytes(4)

    def _said(self, kind: str, options: dict[str, Any]) -> bytes:
        challenge = options["challenge"]
        assert len(urlsafe_b64decode(challenge + "==")) >= 16
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def _credential(self, **response: str) -> dict[str, Any]:
        name = text(self.id)
        return {"id": name, "rawId": name, "type": "public-key", "response": response}
