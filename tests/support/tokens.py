"""Tokens of every kind, good ones and bad ones, made by an independent implementation (Python's cryptography)."""

import base64
import hashlib
import hmac
import json
import secrets
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def b64(data):
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def ulid():
    """26 characters, sorted by time."""
    bits = int(time.time() * 1000) << 80 | secrets.randbits(80)
    return "".join(CROCKFORD[bits >> 5 * at & 31] for at in reversed(range(26)))


def new_id(prefix):
    """Such as usr_01JD3YV4M8Q6T0R7ZK5N2X9W1B."""
    return prefix + ulid()


class Issuer:
    """Signs access tokens with a key of its own, as the users service does."""

    def __init__(self, kid="test-1", issuer="souk", audience="souk"):
        self.kid, self.issuer, self.audience = kid, issuer, audience
        self.private = ec.generate_private_key(ec.SECP256R1())

    def jwk(self):
        """The public key as the auth_source tells it."""
        numbers = self.private.public_key().public_numbers()
        return {
            "kid": self.kid,
            "x": b64(numbers.x.to_bytes(32, "big")),
            "y": b64(numbers.y.to_bytes(32, "big")),
        }

    def sign(self, data):
        """r and s side by side."""
        r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def claims(self, sub, roles=("customer",), now=None, **other):
        """What a good token says; other replaces claims, None takes one out."""
        now = int(time.time() if now is None else now)
        found = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": sub,
            "sid": new_id("ses_"),
            "jti": ulid(),
            "roles": list(roles),
            "iat": now,
            "exp": now + 600,
        } | other
        return {key: value for key, value in found.items() if value is not None}

    def header(self, **other):
        """What a good token's header says."""
        found = {"alg": "ES256", "typ": "at+jwt", "kid": self.kid} | other
        return {key: value for key, value in found.items() if value is not None}

    def jws(self, header, claims, sign=None):
        """Signed parts; sign makes the signature of the bytes before it."""
        parts = [b64(json.dumps(each).encode()) for each in (header, claims)]
        signature = (sign or self.sign)(".".join(parts).encode())
        return ".".join([*parts, b64(signature)])

    def token(self, sub, roles=("customer",), header=None, **claims):
        """An access token."""
        return self.jws(self.header(**(header or {})), self.claims(sub, roles, **claims))

    def bad_tokens(self, sub, roles=("admin",)):
        """By what is wrong with each. All are for somebody who might do everything."""
        public = json.dumps(self.jwk()).encode()
        now = time.time()
        return {
            "expired": self.token(sub, roles, now=now - 700),
            "wrong key": Issuer(self.kid, self.issuer, self.audience).token(sub, roles),
            "unknown key": Issuer("nobody", self.issuer, self.audience).token(sub, roles),
            "alg none": self.jws(
                self.header(alg="none"), self.claims(sub, roles), sign=lambda data: b""
            ),
            "alg none, signed": self.token(sub, roles, header={"alg": "none"}),
            "alg HS256": self.jws(
                self.header(alg="HS256"),
                self.claims(sub, roles),
                sign=lambda data: hmac.new(public, data, hashlib.sha256).digest(),
            ),
            "another type": self.token(sub, roles, header={"typ": "JWT"}),
            "another issuer": self.token(sub, roles, iss="evil"),
            "another audience": self.token(sub, roles, aud=["shop", "evil"]),
            "not yet valid": self.token(sub, roles, now=now + 120),
            "no end": self.token(sub, roles, exp=None),
            "no subject": self.token(None, roles),
            "a guest's subject": self.token(new_id("gst_"), roles),
            "critical header": self.token(sub, roles, header={"crit": ["b64"], "b64": False}),
            "no signature": self.token(sub, roles).rpartition(".")[0] + ".",
            "no JWT": "eyJhbGciOiJFUzI1NiJ9",
            "long": self.token(sub, roles, padding="x" * 2048),
        }


def guest_token(key, subject=None, expires=None, version=1):
    """A guest token (lib/include/souk/guest.h); key: 32 bytes."""
    subject = subject or new_id("gst_")
    expires = int(time.time()) + 3600 if expires is None else expires
    payload = bytes([version]) + subject.removeprefix("gst_").encode() + expires.to_bytes(8, "big")
    signed = f"gst.{b64(payload)}"
    return f"{signed}.{b64(hmac.new(key, signed.encode(), hashlib.sha256).digest())}"


class ApiKey:
    """An API key of a user."""

    def __init__(self, scopes, subject=None):
        self.id = ulid()
        self.secret = secrets.token_urlsafe(32)
        self.scopes = list(scopes)
        self.subject = subject or new_id("usr_")

    @property
    def token(self):
        """What its user sends."""
        return f"souk_{self.id}_{self.secret}"

    def row(self):
        """As the auth_source tells it."""
        return {
            "id": self.id,
            "sha256": hashlib.sha256(self.secret.encode()).digest(),
            "subject": self.subject,
            "scopes": self.scopes,
        }
