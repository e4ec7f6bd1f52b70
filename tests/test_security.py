"""Secrets, session values, passwords, tokens and encryption."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litewrite import security
from litewrite.errors import JwtInvalid, Overloaded
from litewrite.security import Passwords, ServerSecret, decode_session, encode_session, hash_secret, new_secret, same


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(claims: Any, key: bytes, header: Any = None) -> str:
    """A JWT made by hand, with whatever header and claims."""
    head = {"typ": "JWT", "alg": "HS256"} if header is None else header
    text = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{text}.{b64(hmac.new(key, text.encode(), hashlib.sha256).digest())}"


def test_secrets_have_256_hexadecimal_characters_and_differ() -> None:
    one, other = new_secret(), new_secret()
    assert re.fullmatch("[0-9a-f]{256}", one)
    assert one != other


def test_a_secret_is_stored_as_sha_256() -> None:
    assert hash_secret("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert len(hash_secret("\udcff")) == 64


def test_same_compares_any_text() -> None:
    assert same("ä\udcff", "ä\udcff")
    assert not same("a", "b")


class TestSessionValues:
    def test_the_value_is_that_of_the_contract(self) -> None:
        value = "eyJpZCI6IjVmM2MwYTFiMmMzZDQiLCJzZWNyZXQiOiJhYmMxMjMifQ=="
        assert encode_session("5f3c0a1b2c3d4", "abc123") == value
        assert decode_session(value) == ("5f3c0a1b2c3d4", "abc123")

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "====",
            "abc",
            "ä",
            "\udcff",
            "eyJpZCI6IjVmM2MwYTFiMmMzZDQiLCJzZWNyZXQiOiJhYmMxMjMifQ",  # no padding
            "eyJpZCI6IjVmM2MwYTFiMmMzZDQiLCJzZWNyZXQiOiJhYmMxMjMifQ==x",
            "eyJpZCI6IjVmM2MwYTFiMmMzZDQiLCJzZWNyZXQiOiJhYmMxMjMifQ====",
            "eyJpZCI6IjVmM2MwYTFiMmMzZDQi LCJzZWNyZXQiOiJhYmMxMjMifQ==",
            "eyJpZCI6IjVmM2MwYTFiMmMzZDQi\nLCJzZWNyZXQiOiJhYmMxMjMifQ==",
            "eyJpZCI6IjVmM2MwYTFiMmMzZDQi-CJzZWNyZXQiOiJhYmMxMjMifQ==",  # the alphabet of URLs
        ],
    )
    def test_what_is_no_base64_is_no_session(self, value: str) -> None:
        assert decode_session(value) is None

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "null",
            "[]",
            '"text"',
            "7",
            "{}",
            '{"id":"a"}',
            '{"secret":"a"}',
            '{"id":"","secret":"b"}',
            '{"id":"a","secret":""}',
            '{"id":1,"secret":"b"}',
            '{"id":"a","secret":["b"]}',
            '{"id":"\\ud800","secret":"b"}',
            '{"id":"a","secret":"\\udfff"}',
            '{"id":"a","secret":"b"',
            "[" * 5_000,
            "9" * 5_000,
        ],
    )
    def test_what_is_no_pair_of_texts_is_no_session(self, text: str) -> None:
        assert decode_session(base64.b64encode(text.encode()).decode()) is None

    def test_bytes_that_are_no_utf_8_are_no_session(self) -> None:
        assert decode_session(base64.b64encode(b'{"id":"\xff","secret":"b"}').decode()) is None
        utf_16 = '{"id":"a","secret":"b"}'.encode("utf-16")
        assert decode_session(base64.b64encode(utf_16).decode()) is None

    @given(st.text())
    def test_nothing_makes_it_raise(self, value: str) -> None:
        decode_session(value)

    @given(st.binary())
    def test_no_content_makes_it_raise(self, content: bytes) -> None:
        decode_session(base64.b64encode(content).decode())

    @given(
        st.text(st.characters(max_codepoint=126, min_codepoint=32), min_size=1),
        st.text("0123456789abcdef", min_size=1),
    )
    def test_values_come_back(self, user_id: str, secret: str) -> None:
        assert decode_session(encode_session(user_id, secret)) == (user_id, secret)


@pytest.fixture
def passwords() -> Any:
    made = Passwords(memory_kib=8, passes=1)
    yield made
    made.close()


class TestPasswords:
    async def test_a_hash_fits_its_password_alone(self, passwords: Passwords) -> None:
        hashed = await passwords.hash("correct horse")
        assert hashed.startswith("$argon2id$")
        assert await passwords.verify(hashed, "correct horse")
        assert not await passwords.verify(hashed, "correct horsE")

    async def test_equal_passwords_have_different_hashes(self, passwords: Passwords) -> None:
        assert await passwords.hash("password") != await passwords.hash("password")

    async def test_no_hash_fits_no_password(self, passwords: Passwords) -> None:
        assert not await passwords.verify("", "")
        assert not await passwords.verify("", "password")

    async def test_a_damaged_hash_fits_no_password(self, passwords: Passwords) -> None:
        assert not await passwords.verify("$argon2id$broken", "password")

    async def test_no_hash_is_worked_on_as_long_as_a_real_one(
        self, passwords: Passwords, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from argon2 import PasswordHasher

        calls: list[str] = []
        verify = PasswordHasher.verify

        def counted(self: PasswordHasher, hash: str, password: str) -> bool:
            calls.append(hash)
            return verify(self, hash, password)

        monkeypatch.setattr(PasswordHasher, "verify", counted)
        await passwords.verify("", "password")
        assert len(calls) == 1
        assert calls[0].startswith("$argon2id$v=19$m=8,t=1,p=1$")

    async def test_the_default_parameters_are_those_recommended(self) -> None:
        made = Passwords()
        try:
            assert "$m=19456,t=2,p=1$" in await made.hash("password")
        finally:
            made.close()

    async def test_hashing_leaves_the_event_loop_alone(self, passwords: Passwords) -> None:
        seen: list[str] = []
        await passwords._run(lambda: seen.append(threading.current_thread().name))
        assert seen[0].startswith("litewrite-password")

    async def test_beyond_the_bound_is_refused_at_once(self) -> None:
        made = Passwords(memory_kib=8, passes=1, workers=1, waiting=1)
        release = threading.Event()
        try:
            running = [asyncio.ensure_future(made._run(release.wait)) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await made.hash("password")
            release.set()
            await asyncio.gather(*running)
            assert await made.verify(await made.hash("password"), "password")
        finally:
            release.set()
            made.close()


class TestTokens:
    def test_a_token_has_the_header_and_claims_of_the_contract(self) -> None:
        made = ServerSecret(b"secret").make_jwt("user", "session")
        header, claims, _ = made.split(".")
        assert header == "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9"
        read = json.loads(base64.urlsafe_b64decode(claims + "=="))
        assert list(read) == ["userId", "sessionId", "exp"]
        assert abs(read["exp"] - time.time() - 900) <= 2

    def test_a_token_comes_back(self) -> None:
        secret = ServerSecret(b"secret")
        assert secret.read_jwt(secret.make_jwt("user", "session")) == ("user", "session")

    def test_the_same_secret_reads_it_after_a_restart_and_another_does_not(self) -> None:
        made = ServerSecret(b"secret").make_jwt("user", "session")
        assert ServerSecret(b"secret").read_jwt(made) == ("user", "session")
        with pytest.raises(JwtInvalid):
            ServerSecret(b"other").read_jwt(made)

    @pytest.mark.parametrize(("age", "valid"), [(0, True), (905, True), (908, True), (912, False)])
    def test_it_lives_900_seconds_and_10_of_leeway(self, age: int, valid: bool) -> None:
        secret = ServerSecret(b"secret")
        made = token({"userId": "u", "sessionId": "s", "exp": int(time.time()) + 900 - age}, secret.derive("jwt"))
        if valid:
            assert secret.read_jwt(made) == ("u", "s")
        else:
            with pytest.raises(JwtInvalid):
                secret.read_jwt(made)

    @pytest.mark.parametrize(
        "claims",
        [
            {},
            [],
            "text",
            None,
            {"userId": "u", "sessionId": "s"},
            {"userId": "u", "sessionId": "s", "exp": "soon"},
            {"userId": "u", "sessionId": "s", "exp": [1]},
            {"userId": 1, "sessionId": "s", "exp": 9_999_999_999},
            {"userId": "u", "sessionId": None, "exp": 9_999_999_999},
            {"sessionId": "s", "exp": 9_999_999_999},
        ],
    )
    def test_other_claims_are_refused(self, claims: Any) -> None:
        secret = ServerSecret(b"secret")
        with pytest.raises(JwtInvalid):
            secret.read_jwt(token(claims, secret.derive("jwt")))

    @pytest.mark.parametrize(
        "header",
        [
            {"alg": "none"},
            {"alg": "HS512"},
            {"alg": ["HS256"]},
            {"alg": "HS256", "kid": 1},
            {"alg": "HS256", "crit": ["x"]},
            {},
            [],
            "HS256",
        ],
    )
    def test_other_headers_are_refused(self, header: Any) -> None:
        secret = ServerSecret(b"secret")
        claims = {"userId": "u", "sessionId": "s", "exp": 9_999_999_999}
        with pytest.raises(JwtInvalid):
            secret.read_jwt(token(claims, secret.derive("jwt"), header))

    def test_a_token_without_signature_is_refused(self) -> None:
        header = b64(b'{"typ":"JWT","alg":"none"}')
        claims = b64(b'{"userId":"u","sessionId":"s","exp":9999999999}')
        for text in (f"{header}.{claims}.", f"{header}.{claims}", f"{header}.{claims}.e30"):
            with pytest.raises(JwtInvalid):
                ServerSecret(b"secret").read_jwt(text)

    @pytest.mark.parametrize("text", ["x", "a.b.c", "..", "\udcff.a.b", "ä", b64(b"[" * 6_000) + ".e30.e30"])
    def test_nonsense_is_refused(self, text: str) -> None:
        with pytest.raises(JwtInvalid):
            ServerSecret(b"secret").read_jwt(text)

    @given(st.text())
    def test_no_text_makes_it_fail_otherwise(self, text: str) -> None:
        with pytest.raises(JwtInvalid):
            ServerSecret(b"secret").read_jwt(text)


class TestEncryption:
    @given(st.text())
    def test_what_is_encrypted_comes_back(self, plain: str) -> None:
        secret = ServerSecret(b"secret")
        sealed = secret.encrypt(plain)
        assert secret.decrypt(sealed) == plain

    def test_the_same_text_is_sealed_differently_each_time(self) -> None:
        secret = ServerSecret(b"secret")
        assert secret.encrypt("text") != secret.encrypt("text")
        assert b"text" not in secret.encrypt("text")

    @pytest.mark.parametrize("length", [0, 5, 12, 20])
    def test_what_is_cut_is_refused(self, length: int) -> None:
        secret = ServerSecret(b"secret")
        with pytest.raises(ValueError):
            secret.decrypt(secret.encrypt("text")[:length])

    def test_what_is_altered_or_of_another_secret_is_refused(self) -> None:
        secret = ServerSecret(b"secret")
        sealed = bytearray(secret.encrypt("text"))
        with pytest.raises(ValueError, match="another server secret"):
            ServerSecret(b"other").decrypt(bytes(sealed))
        sealed[-1] ^= 1
        with pytest.raises(ValueError):
            secret.decrypt(bytes(sealed))

    def test_each_purpose_has_a_key_of_its_own(self) -> None:
        secret = ServerSecret(b"secret")
        keys = {secret.derive("jwt"), secret.derive("encryption"), ServerSecret(b"other").derive("jwt")}
        assert len(keys) == 3
        assert all(len(key) == 32 for key in keys)


def test_lifetimes() -> None:
    assert (security.JWT_SECONDS, security.JWT_LEEWAY_SECONDS) == (900, 10)
