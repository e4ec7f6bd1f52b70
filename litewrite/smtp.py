"""Handing mails to a mail server over SMTP.

`aiosmtplib` speaks the protocol; it is imported with the first mail. Here is what settings say about the server, and
which failures are for good.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from aiosmtplib import SMTP

SECONDS = 30.0
"""Longest wait for a connection and for each answer of the mail server."""
_FORM = "smtp[s]://[user:password@]host[:port], for smtp optionally with ?tls=required or ?tls=off behind it"


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mails go. With `smtps` the connection is encrypted from its beginning.

    With `smtp` it becomes so by STARTTLS: `tls` says whether when the server offers it (`auto`), in any case
    (`required`) or never (`off`). Unless it is off, a password is only sent over an encrypted connection, or to this
    machine.
    """

    host: str
    port: int
    implicit_tls: bool = False
    tls: str = "auto"
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Raises ValueError with a sentence that does not repeat the URL, since it may hold a password."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
            options = dict(parse_qsl(parts.query, keep_blank_values=True))
            user, password = (
                unquote(parts.username or "", errors="strict"),
                unquote(parts.password or "", errors="strict"),
            )
        except ValueError:
            raise ValueError(f"it must be of the form {_FORM}") from None
        tls = options.pop("tls", "auto")
        secure = parts.scheme == "smtps"
        if (
            parts.scheme not in ("smtp", "smtps")
            or not host
            or port == 0
            or options
            or tls not in (("auto",) if secure else ("auto", "required", "off"))
            or parts.path not in ("", "/")
            or parts.fragment
            or bool(user) != bool(password)
            or any(not character.isprintable() for character in user + password)
        ):
            raise ValueError(f"it must be of the form {_FORM}")
        return cls(host, port or (465 if secure else 587 if user else 25), secure, tls, user, password)

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class MailRefused(Exception):
    """The mail server will never take this mail. `str()` is a sentence."""


class MailServerFailed(Exception):
    """The mail could not be handed over now; later it may work. `str()` is a sentence."""


class SmtpConnection:
    """One connection, used by one task for mails one after the other.

    Entering connects and logs in; it raises `MailServerFailed`, as `send` does.
    """

    def __init__(self, server: SmtpServer, *, seconds: float = SECONDS) -> None:
        self._server = server
        self._seconds = seconds
        self._client: SMTP | None = None

    async def __aenter__(self) -> Self:
        server = self._server
        # Importing the library and reading the certificates of the system take too long for the event loop.
        context = await asyncio.to_thread(_prepare)
        from aiosmtplib import SMTP, SMTPException

        client = SMTP(
            hostname=server.host,
            port=server.port,
            timeout=self._seconds,
            use_tls=server.implicit_tls,
            start_tls=False,
            tls_context=context,
        )
        try:
            await client.connect()
            await self._secure(client)
            if server.user:
                await client.login(server.user, server.password)
        except (SMTPException, OSError, ValueError) as error:
            client.close()
            raise MailServerFailed(_sentence(error)) from error
        except BaseException:
            client.close()
            raise
        self._client = client
        return self

    async def _secure(self, client: SMTP) -> None:
        server = self._server
        if server.implicit_tls or server.tls == "off":
            return
        await client.ehlo()
        if server.tls == "required" or (client.supports_extension("starttls") and not server.is_local):
            await client.starttls()
        elif server.user and not server.is_local:
            raise MailServerFailed("the mail server offers no encryption, and a password is not sent without it")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        from aiosmtplib import SMTPException

        client, self._client = self._client, None
        if client is None:
            return
        try:
            if kind is None and client.is_connected:
                await client.quit()
        except (SMTPException, OSError):
            pass  # it has taken what it was to take
        finally:
            client.close()

    @property
    def is_open(self) -> bool:
        return self._client is not None and self._client.is_connected

    async def send(self, sender: str, recipient: str, message: bytes) -> None:
        """Hand one mail over. Raises `MailRefused` and `MailServerFailed`, after which the connection may be closed."""
        from aiosmtplib import SMTPDataError, SMTPException, SMTPRecipientsRefused

        assert self._client is not None
        try:
            await self._client.sendmail(sender, [recipient], message)
        except SMTPRecipientsRefused as error:
            refused = error.recipients[0]
            raise (MailRefused if refused.code >= 500 else MailServerFailed)(_sentence(refused)) from error
        except SMTPDataError as error:
            raise (MailRefused if error.code >= 500 else MailServerFailed)(_sentence(error)) from error
        except (SMTPException, OSError, ValueError) as error:
            raise MailServerFailed(_sentence(error)) from error


def _prepare() -> ssl.SSLContext:
    import aiosmtplib  # noqa: F401

    return ssl.create_default_context()


def _sentence(error: Exception) -> str:
    from aiosmtplib import SMTPResponseException

    if isinstance(error, SMTPResponseException):
        return f"{error.code} {error.message}"[:500]
    return (str(error) or type(error).__name__)[:500]
