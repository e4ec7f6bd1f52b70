"""Secrets: making, hashing, comparing, signing and encrypting them.

Passwords are hashed with argon2id (parameters of the OWASP password storage cheat sheet: 19 MiB, 2 passes, 1 lane) on a
small pool of threads. Secrets made by the server have full entropy, so one SHA-256 is enough for them. Everything that
needs a key derives it from the one server secret, each purpose its own.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from litewrite.errors import JwtInvalid, Overloaded

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")

SECRET_BYTES = 128
JWT_SECONDS = 900
JWT_LEEWAY_SECONDS = 10


def new_secret() -> str:
    """128 random bytes as 256 lower-case hexadecimal characters."""
    return secrets.token_hex(SECRET_BYTES)


def hash_secret(secret: str) -> str:
    """SHA-256 of a secret of full entropy, as 64 hexadecimal characters."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def same(one: str, other: str) -> bool:
    """Compare in a time that does not depend on where the texts differ."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def encode_session(user_id: str, secret: str) -> str:
    """The value of a session cookie: base64 of a JSON object with the user's id and the session's secret."""
    text = json.dumps({"id": user_id, "secret": secret}, separators=(",", ":"))
    return base64.b64encode(text.encode()).decode()


def decode_session(value: str) -> tuple[str, str] | None:
    """User id and secret of a session value, or None when it does not decode. Never raises."""
    try:
        parts = json.loads(base64.b64decode(value, validate=True).decode())
        user_id, secret = parts["id"], parts["secret"]
    except (binascii.Error, ValueError, TypeError, KeyError, RecursionError):
        return None
    # Ids and secrets made by the server are ASCII; anything else, such as half a surrogate pair, matches nothing.
    if isinstance(user_id, str) and isinstance(secret, str) and user_id.isascii() and secret.isascii():
        return (user_id, secret) if user_id and secret else None
    return None


class Passwords:
    """Hashes and verifies passwords off the event loop, a few at a time.

    At most `workers` run at once, each with `memory_kib` of memory; at most `waiting` more wait, and the next one gets
    `Overloaded`. Verifying against no hash costs the same time as against a real one.
    """

    def __init__(self, *, memory_kib: int = 19_456, passes: int = 2, workers: int = 2, waiting: int = 1_000) -> None:
        self._memory_kib = memory_kib
        self._passes = passes
        self._limit = workers + waiting
        self._running = 0
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="litewrite-password")
        self._lock = threading.Lock()
        self._decoy: str = ""

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        return await self._run(lambda: self._hash(password))

    async def verify(self, password_hash: str, password: str) -> bool:
        """Whether the password is that of the hash; an empty hash fits no password."""
        return await self._run(lambda: self._verify(password_hash, password))

    async def _run(self, work: Callable[[], T]) -> T:
        if self._running >= self._limit:
            raise Overloaded
        self._running += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._running -= 1

    def _hasher(self) -> PasswordHasher:
        from argon2 import PasswordHasher, Type

        return PasswordHasher(
            time_cost=self._passes, memory_cost=self._memory_kib, parallelism=1, hash_len=32, salt_len=16, type=Type.ID
        )

    def _hash(self, password: str) -> str:
        return self._hasher().hash(password)

    def _verify(self, password_hash: str, password: str) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError

        if not password_hash:
            with self._lock:
                if not self._decoy:
                    self._decoy = self._hash(secrets.token_hex(8))
        try:
            fits = self._hasher().verify(password_hash or self._decoy, password)
        except (VerificationError, InvalidHashError):
            return False
        return fits and bool(password_hash)


class ServerSecret:
    """The one secret of a data folder; it signs JSON Web Tokens and encrypts what must stay readable for a while."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._jwt_key = self.derive("jwt")

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes for one purpose."""
        return hmac.new(self._secret, b"litewrite/" + purpose.encode(), hashlib.sha256).digest()

    def make_jwt(self, user_id: str, session_id: str) -> str:
        """A JSON Web Token (HS256) that acts for a session for 900 seconds."""
        import jwt

        claims = {"userId": user_id, "sessionId": session_id, "exp": int(time.time()) + JWT_SECONDS}
        return jwt.encode(claims, self._jwt_key, algorithm="HS256", sort_headers=False)

    def read_jwt(self, token: str) -> tuple[str, str]:
        """User id and session id of a token. Raises `JwtInvalid` when it is malformed, wrongly signed or expired."""
        import jwt

        try:
            claims = jwt.decode(
                token, self._jwt_key, algorithms=["HS256"], leeway=JWT_LEEWAY_SECONDS, options={"require": ["exp"]}
            )
            user_id, session_id = claims["userId"], claims["sessionId"]
        except (jwt.PyJWTError, KeyError, ValueError, TypeError, RecursionError) as error:
            raise JwtInvalid from error
        if not (isinstance(user_id, str) and isinstance(session_id, str)):
            raise JwtInvalid
        return user_id, session_id

    def encrypt(self, plain: str) -> bytes:
        """Encrypt a text (AES-256-GCM, a fresh nonce in front)."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(12)
        return nonce + AESGCM(self.derive("encryption")).encrypt(nonce, plain.encode("utf-8"), None)

    def decrypt(self, sealed: bytes) -> str:
        """The text that was encrypted. Raises ValueError when it was made with another secret or altered."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            return AESGCM(self.derive("encryption")).decrypt(sealed[:12], sealed[12:], None).decode("utf-8")
        except InvalidTag as error:
            raise ValueError("the stored value was encrypted with another server secret") from error
