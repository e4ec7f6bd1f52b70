"""A real mail server on loopback, and certificates for it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "postman", "p@ss:w/rd"


@dataclass
class MailServer:
    """What it took, and how it answers: `answers` are given to mails in order, before it takes them."""

    port: int = 0
    envelopes: list[Envelope] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    encrypted: bool = False
    user: str = ""

    @property
    def messages(self) -> list[EmailMessage]:
        return [read(envelope.content) for envelope in self.envelopes]

    async def wait_for(self, count: int) -> list[EmailMessage]:
        async with asyncio.timeout(20):
            while len(self.envelopes) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return self.messages

    async def handle_EHLO(
        self, server: Any, session: Any, envelope: Any, hostname: str, answers: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.connections += 1
        return answers

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        if self.answers:
            return self.answers.pop(0)
        self.encrypted = server.transport.get_extra_info("ssl_object") is not None
        self.user = session.auth_data.login.decode() if session.auth_data else ""
        self.envelopes.append(envelope)
        self.arrived.set()
        return "250 taken"


def read(content: Any) -> EmailMessage:
    message = message_from_bytes(content, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def _authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == (USER, PASSWORD)
    return AuthResult(success=right, handled=right, auth_data=data)


@contextlib.asynccontextmanager
async def mail_server(
    *,
    port: int = 0,
    login: bool = False,
    starttls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
    server: MailServer | None = None,
) -> AsyncIterator[MailServer]:
    """With `login` it takes mails from `USER` alone; `starttls` and `tls` are the two ways to encryption."""
    taken = server or MailServer()
    protocols: list[SMTP] = []

    def connect() -> SMTP:
        with warnings.catch_warnings():
            # What it thinks of logins without encryption.
            warnings.simplefilter("ignore")
            protocol = SMTP(
                taken,
                hostname="mail.test",
                enable_SMTPUTF8=False,
                auth_required=login,
                auth_require_tls=False,
                authenticator=_authenticate if login else None,
                tls_context=starttls,
            )
        protocols.append(protocol)
        return protocol

    listening = await asyncio.get_running_loop().create_server(connect, "127.0.0.1", port, ssl=tls)
    taken.port = listening.sockets[0].getsockname()[1]
    try:
        yield taken
    finally:
        listening.close()
        for protocol in protocols:
            if protocol.transport is not None:
                protocol.transport.abort()
            task = protocol._handler_coroutine
            if task is not None:
                task.cancel()
                await asyncio.wait((task,))
        await listening.wait_closed()


def make_certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A context for a server called localhost, and the file with the certificate that signs for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public
