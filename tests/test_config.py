"""The table of settings."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from litewrite.config import Config, convert, from_environment, new_server_secret, settings

README = Path(__file__).parents[1] / "README.md"


def by_name(name: str) -> Any:
    return next(setting for setting in settings() if setting.name == name)


def test_the_defaults() -> None:
    config = Config()
    assert (config.host, config.port, config.project, config.durability) == ("127.0.0.1", 8700, "default", "full")
    assert (config.version, config.locale, config.storage_limit) == ("0.11.2", "en", 10_000_000)
    assert config.request_limit == 4_000_000


def test_every_field_is_a_row_with_help_and_own_names() -> None:
    rows = settings()
    assert [row.name for row in rows] == [field.name for field in dataclasses.fields(Config)]
    assert all(row.help for row in rows)
    flags = [row.flag for row in rows if row.flag]
    variables = [row.variable for row in rows]
    assert len(set(flags)) == len(flags)
    assert len(set(variables)) == len(variables)
    assert all(re.fullmatch(r"--[a-z]+(-[a-z0-9]+)*", flag) for flag in flags)
    assert all(re.fullmatch(r"LITEWRITE_[A-Z]+(_[A-Z0-9]+)*", variable) for variable in variables)


def test_the_secret_has_no_flag() -> None:
    assert by_name("secret").flag == ""
    assert by_name("secret").variable == "LITEWRITE_SECRET"


def test_the_readme_lists_every_setting() -> None:
    text = README.read_text()
    assert [row.name for row in settings() if row.variable not in text or row.flag not in text] == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("port", -1),
        ("port", 65_536),
        ("port", "80"),
        ("port", True),
        ("durability", "none"),
        ("functions", "yes"),
        ("rate_limits", "maybe"),
        ("log_format", "xml"),
        ("function_slots", 0),
        ("function_timeout", -5),
        ("storage_limit", 0),
        ("password_passes", 0),
        ("exit_with_parent", "no"),
        ("project", ""),
        ("project", "a b"),
        ("project", "-x"),
        ("project", "x" * 33),
        ("project", "ünicode"),
        ("project", "console"),
        ("public_url", "example.com"),
        ("public_url", "ftp://example.com"),
        ("public_url", "https://"),
        ("public_url", "https://user@example.com"),
        ("public_url", "https://example.com:99999"),
        ("public_url", "https://example.com:x"),
        ("public_url", "https://example.com/?a=1"),
        ("public_url", "https://[::1"),
        ("trusted_proxies", ("example.com",)),
        ("trusted_proxies", "10.0.0.1"),
        ("allowed_hosts", "example.com"),
    ],
)
def test_bad_values_are_refused_by_name(setting: str, value: Any) -> None:
    with pytest.raises(ValueError, match=setting):
        Config(**{setting: value})


def test_lists_and_texts_become_what_the_fields_are() -> None:
    hosts: Any = ["a.example", "b.example"]
    folder: Any = "somewhere"
    config = Config(allowed_hosts=hosts, data_dir=folder, public_url="https://example.com/api")
    assert config.allowed_hosts == ("a.example", "b.example")
    assert config.data_dir == Path("somewhere")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.7", False),
        ("127.example.com", False),
        ("", False),
    ],
)
def test_what_is_automatic_depends_on_who_can_reach_the_server(host: str, loopback: bool) -> None:
    config = Config(host=host)
    assert config.is_loopback is loopback
    assert config.functions_enabled is loopback
    assert config.limits_rates is not loopback
    on, off = Config(host=host, functions="on", rate_limits="on"), Config(host=host, functions="off", rate_limits="off")
    assert on.functions_enabled
    assert on.limits_rates
    assert not off.functions_enabled
    assert not off.limits_rates


def test_environment_variables_give_arguments() -> None:
    given = from_environment(
        {
            "LITEWRITE_DATA": "/srv/data",
            "LITEWRITE_PORT": "80",
            "LITEWRITE_ALLOWED_HOSTS": "a.example, b.example,",
            "LITEWRITE_EXIT_WITH_PARENT": "true",
            "LITEWRITE_READY_FILE": "/tmp/ready",
            "LITEWRITE_LOCALE": "",
            "OTHER": "x",
        }
    )
    assert given == {
        "data_dir": Path("/srv/data"),
        "port": 80,
        "allowed_hosts": ("a.example", "b.example"),
        "exit_with_parent": True,
        "ready_file": Path("/tmp/ready"),
    }
    assert Config(**given).port == 80


@pytest.mark.parametrize("text", ["1", "true", "Yes", "ON"])
def test_switches_on(text: str) -> None:
    assert convert(by_name("exit_with_parent"), text) is True


@pytest.mark.parametrize("text", ["0", "false", "No", "off", ""])
def test_switches_off(text: str) -> None:
    assert convert(by_name("exit_with_parent"), text) is False


@pytest.mark.parametrize(("name", "text"), [("exit_with_parent", "perhaps"), ("port", "http"), ("port", "8.5")])
def test_texts_that_cannot_be_converted_name_their_variable(name: str, text: str) -> None:
    setting = by_name(name)
    with pytest.raises(ValueError, match=setting.variable):
        convert(setting, text)


def test_server_secrets_are_long_and_differ() -> None:
    assert len(new_server_secret()) == 64
    assert new_server_secret() != new_server_secret()


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        ({}, "outbox"),
        ({"smtp_url": "smtp://localhost"}, "smtp"),
        ({"smtp_url": "smtp://localhost", "mail": "outbox"}, "outbox"),
        ({"smtp_url": "smtp://localhost", "mail": "smtp"}, "smtp"),
        ({"mail": "off"}, "off"),
    ],
)
def test_what_becomes_of_mails(given: dict[str, str], mode: str) -> None:
    assert Config(**given).mail_mode == mode


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"mail": "smtp"}, "mail cannot be smtp without smtp_url"),
        ({"mail": "post"}, "mail must be one of auto, outbox, smtp, off"),
        ({"smtp_url": "mail.example.com"}, "smtp_url cannot be read: it must be of the form smtp"),
        ({"mail_from": "me"}, "mail_from must be an e-mail address"),
        ({"mail_from": "me@example.com\r\nBcc: you@example.com"}, "mail_from must be an e-mail address"),
    ],
)
def test_bad_mail_settings(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Config(**given)


def test_who_mails_come_from() -> None:
    assert Config().mail_sender == "noreply@localhost"
    assert Config(public_url="https://api.example.com:8443/x").mail_sender == "noreply@api.example.com"
    assert Config(public_url="https://api.example.com", mail_from="me@example.com").mail_sender == "me@example.com"


def test_the_password_of_the_mail_server_is_not_shown() -> None:
    assert "hush" not in repr(Config(smtp_url="smtps://user:hush@mail.example.com"))
