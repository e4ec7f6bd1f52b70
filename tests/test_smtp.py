"""Handing mails to a mail server: what a URL says, encryption, logins, and which failures are for good."""

from __future__ import annotations

from pathlib import Path

import pytest

from litewrite.smtp import MailRefused, MailServerFailed, SmtpConnection, SmtpServer
from tests.mail_server import PASSWORD, USER, MailServer, mail_server, make_certificate

MESSAGE = b"From: a@example.com\r\nTo: b@example.com\r\nSubject: Hi\r\n\r\nHello\r\n"


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.com", SmtpServer("mail.example.com", 25)),
        ("smtp://mail.example.com/", SmtpServer("mail.example.com", 25)),
        ("smtp://u:p@mail.example.com", SmtpServer("mail.example.com", 587, user="u", password="p")),
        ("smtps://u:p%40%3A@mail.example.com", SmtpServer("mail.example.com", 465, True, user="u", password="p@:")),
        ("smtps://mail.example.com:2465", SmtpServer("mail.example.com", 2465, True)),
        ("smtp://[::1]:2525?tls=off", SmtpServer("::1", 2525, tls="off")),
        ("SMTP://LOCALHOST?tls=required", SmtpServer("localhost", 25, tls="required")),
    ],
)
def test_urls(url: str, server: SmtpServer) -> None:
    assert SmtpServer.parse(url) == server


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example.com",
        "http://mail.example.com",
        "smtp://",
        "smtp://:25",
        "smtp://host:0",
        "smtp://host:66000",
        "smtp://host/path",
        "smtp://host#x",
        "smtp://host?tls=maybe",
        "smtp://host?other=1",
        "smtps://host?tls=off",
        "smtp://secretname@host",
        "smtp://:secretpass@host",
        "smtp://secretname:secret%0d%0apass@host",
        "smtp://secretname:%ff@host",
        "smtp://[::1",
    ],
)
def test_bad_urls_are_told_without_the_password(url: str) -> None:
    with pytest.raises(ValueError, match="it must be of the form smtp") as caught:
        SmtpServer.parse(url)
    assert "secret" not in str(caught.value)


def test_a_password_is_not_shown() -> None:
    assert "hush" not in repr(SmtpServer.parse("smtps://user:hush@host"))


async def send(server: SmtpServer) -> None:
    async with SmtpConnection(server, seconds=5) as connection:
        await connection.send("a@example.com", "b@example.com", MESSAGE)


async def test_a_mail_arrives_as_it_is() -> None:
    async with mail_server() as server:
        await send(SmtpServer("127.0.0.1", server.port))
        (envelope,) = server.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("a@example.com", ["b@example.com"])
    assert envelope.content == MESSAGE
    assert not server.encrypted


async def test_one_connection_takes_many() -> None:
    async with mail_server() as server:
        async with SmtpConnection(SmtpServer("127.0.0.1", server.port)) as connection:
            for number in range(3):
                assert connection.is_open
                await connection.send("a@example.com", f"b{number}@example.com", MESSAGE)
        assert not connection.is_open
        assert [envelope.rcpt_tos for envelope in server.envelopes] == [
            [f"b{number}@example.com"] for number in range(3)
        ]
        assert server.connections == 1


async def test_logging_in() -> None:
    async with mail_server(login=True) as server:
        await send(SmtpServer("127.0.0.1", server.port, user=USER, password=PASSWORD))
        assert server.user == USER
        with pytest.raises(MailServerFailed, match="535"):
            await send(SmtpServer("127.0.0.1", server.port, user=USER, password="wrong"))
        with pytest.raises(MailServerFailed, match="530"):
            await send(SmtpServer("127.0.0.1", server.port))
        assert len(server.envelopes) == 1


@pytest.mark.parametrize("way", ["implicit", "starttls"])
async def test_encryption(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, certificate = make_certificate(tmp_path)
    async with mail_server(login=True, **{"tls" if way == "implicit" else "starttls": context}) as server:
        target = SmtpServer(
            "localhost",
            server.port,
            implicit_tls=way == "implicit",
            tls="auto" if way == "implicit" else "required",
            user=USER,
            password=PASSWORD,
        )
        with pytest.raises(MailServerFailed, match=r"(?i)certificate"):
            await send(target)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        await send(target)
        assert server.encrypted
        assert len(server.envelopes) == 1


async def test_required_encryption_that_is_not_offered() -> None:
    async with mail_server() as server:
        with pytest.raises(MailServerFailed):
            await send(SmtpServer("127.0.0.1", server.port, tls="required"))
        assert server.envelopes == []


async def test_a_password_goes_to_another_machine_only_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SmtpServer, "is_local", False)
    async with mail_server(login=True) as server:
        with pytest.raises(MailServerFailed, match="offers no encryption"):
            await send(SmtpServer("127.0.0.1", server.port, user=USER, password=PASSWORD))
        assert server.user == ""
        await send(SmtpServer("127.0.0.1", server.port, user=USER, password=PASSWORD, tls="off"))
        assert server.user == USER


async def test_encryption_that_is_offered_is_taken_beyond_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    context, certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with mail_server(starttls=context) as server:
        await send(SmtpServer("localhost", server.port))
        assert not server.encrypted
        monkeypatch.setattr(SmtpServer, "is_local", False)
        await send(SmtpServer("localhost", server.port))
        assert server.encrypted


@pytest.mark.parametrize(
    ("host", "local"), [("localhost", True), ("127.1.2.3", True), ("::1", True), ("10.0.0.1", False), ("mail.x", False)]
)
def test_this_machine(host: str, local: bool) -> None:
    assert SmtpServer(host, 25).is_local is local


@pytest.mark.parametrize(
    ("answer", "kind"), [("550 no such user", MailRefused), ("554 spam", MailRefused), ("451 later", MailServerFailed)]
)
async def test_refusals(answer: str, kind: type[Exception]) -> None:
    async with mail_server(server=MailServer(answers=[answer])) as server:
        async with SmtpConnection(SmtpServer("127.0.0.1", server.port)) as connection:
            with pytest.raises(kind, match=answer):
                await connection.send("a@example.com", "b@example.com", MESSAGE)
            assert connection.is_open
            await connection.send("a@example.com", "b@example.com", MESSAGE)
        assert len(server.envelopes) == 1


class RefusesRecipients(MailServer):
    async def handle_RCPT(self, server, session, envelope, address, options):  # type: ignore[no-untyped-def]
        return "550 nobody here" if address.startswith("nobody") else "450 greylisted"


async def test_refused_recipients() -> None:
    async with (
        mail_server(server=RefusesRecipients()) as server,
        SmtpConnection(SmtpServer("127.0.0.1", server.port)) as connection,
    ):
        with pytest.raises(MailRefused, match="550 nobody here"):
            await connection.send("a@example.com", "nobody@example.com", MESSAGE)
        with pytest.raises(MailServerFailed, match="450 greylisted"):
            await connection.send("a@example.com", "b@example.com", MESSAGE)


async def test_no_server() -> None:
    async with mail_server() as server:
        port = server.port
    with pytest.raises(MailServerFailed):
        await send(SmtpServer("127.0.0.1", port))
