"""Every setting, once: fields, command line flags, environment variables and the table in the README come from here.

A flag wins over its variable, a variable over the default. `Config(...)` takes the same names for embedding.
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from litewrite.entities import CONSOLE, PROJECT_ID

DIALECT_VERSION = "0.11.2"


def _setting(
    default: Any,
    help: str,
    *,
    flag: str | None = None,
    variable: str | None = None,
    metavar: str | None = None,
    choices: Sequence[str] = (),
    positive: bool = False,
    hidden: bool = False,
) -> Any:
    metadata = {
        "help": help,
        "flag": flag,
        "variable": variable,
        "metavar": metavar,
        "choices": tuple(choices),
        "positive": positive,
    }
    if isinstance(default, tuple):
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata, repr=not hidden)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one server. Sizes are in bytes, times in seconds.

    Raises ValueError, with a sentence that names the setting, for a value that cannot be.
    """

    data_dir: Path = _setting(  # noqa: RUF009
        Path("litewrite_data"), "folder with the database and the files", flag="--data", variable="LITEWRITE_DATA"
    )
    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(8700, "port to listen on; 0 picks a free one")
    project: str = _setting("default", "id of the app project, made when it does not exist", metavar="ID")
    durability: Literal["full", "normal"] = _setting(
        "full",
        "full: an answered write survives a power cut; normal: it survives a crash of the process",
        choices=("full", "normal"),
    )
    functions: str = _setting(
        "auto", "whether functions run; auto: only when listening on loopback", choices=("auto", "on", "off")
    )
    function_slots: int = _setting(4, "functions that run at the same time", positive=True, metavar="N")
    function_timeout: int = _setting(900, "longest timeout that a function may have", positive=True, metavar="SECONDS")
    function_memory: int = _setting(
        256 * 1024 * 1024, "memory that one run of a function may use", positive=True, metavar="BYTES"
    )
    function_processes: int = _setting(200, "processes that one run of a function may have", positive=True, metavar="N")
    python: str = _setting(
        "", "interpreter for Python functions; by default the one that runs the server", metavar="PATH"
    )
    public_url: str = _setting("", "URL under which clients reach the server, behind a proxy", metavar="URL")
    allowed_hosts: tuple[str, ...] = _setting(
        (),
        "host name to answer under, besides localhost and addresses (repeatable)",
        flag="--allowed-host",
        metavar="NAME",
    )
    trusted_proxies: tuple[str, ...] = _setting(
        (),
        "address or network whose X-Forwarded-* headers count (repeatable)",
        flag="--trusted-proxy",
        metavar="ADDRESS",
    )
    rate_limits: str = _setting(
        "auto",
        "whether rate limits refuse calls; auto: only beyond loopback; --no-rate-limit is short for off",
        choices=("auto", "on", "off"),
    )
    storage_limit: int = _setting(10_000_000, "largest file that can be uploaded", positive=True, metavar="BYTES")
    mail: str = _setting(
        "auto",
        "what becomes of mails: kept for administrators to read, sent, or none; auto: smtp when there is an SMTP URL, "
        "else outbox",
        choices=("auto", "outbox", "smtp", "off"),
    )
    smtp_url: str = _setting(
        "",
        "mail server, smtp[s]://[user:password@]host[:port]; a password is better given in the variable",
        metavar="URL",
        hidden=True,
    )
    mail_from: str = _setting(
        "", "address that mails come from; by default noreply at the host of the public URL", metavar="ADDRESS"
    )
    picture_cache: int = _setting(
        268_435_456, "disk space for previews and avatars that were made", positive=True, metavar="BYTES"
    )
    allow_private_fetch: bool = _setting(
        False, "fetch pictures that users name from any address, also of this machine and its networks"
    )
    locale: str = _setting("en", "language of answers and mails for clients that name none", metavar="CODE")
    version: str = _setting(DIALECT_VERSION, "version that errors report", flag="--reported-version", metavar="TEXT")
    secret: str = _setting(
        "", "server secret; by default one is made and kept in the data folder", flag="", variable="LITEWRITE_SECRET"
    )
    log_format: str = _setting("text", "format of log lines on standard error", choices=("text", "json"))
    ready_file: Path | None = _setting(  # noqa: RUF009
        None, "JSON file written once requests are answered: url, endpoint, project, pid", metavar="PATH"
    )
    exit_with_parent: bool = _setting(False, "stop when the process that started the server ends")
    mock_oauth2: bool = _setting(
        False, "serve the mock login provider, which lets anybody in as anybody: for development and tests only"
    )
    password_memory: int = _setting(
        19_456, "memory of one password hash (argon2id) in KiB", positive=True, metavar="KIB"
    )
    password_passes: int = _setting(2, "passes of one password hash (argon2id)", positive=True, metavar="N")

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            choices = setting.metadata["choices"]
            if choices and value not in choices:
                raise ValueError(f"{setting.name} must be one of {', '.join(choices)}, not {value!r}")
            if isinstance(setting.default, int) and type(value) is not type(setting.default):
                raise ValueError(f"{setting.name} must be of type {type(setting.default).__name__}, not {value!r}")
            if setting.default is MISSING:
                if isinstance(value, str):
                    raise ValueError(f"{setting.name} must be a list of texts, not the text {value!r}")
                object.__setattr__(self, setting.name, tuple(value))
            if setting.metadata["positive"] and value < 1:
                raise ValueError(f"{setting.name} must be at least 1, not {value}")
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port must be from 0 to 65535, not {self.port}")
        if not PROJECT_ID.fullmatch(self.project) or self.project == CONSOLE:
            raise ValueError(
                "project must be 1 to 32 characters out of A-Z a-z 0-9 . _ -, start with a letter or digit and not be "
                f"{CONSOLE}: {self.project!r}"
            )
        _check_public_url(self.public_url)
        for address in self.trusted_proxies:
            try:
                ipaddress.ip_network(address, strict=False)
            except ValueError:
                raise ValueError(f"trusted_proxies must be addresses or networks, not {address!r}") from None
        _check_mail(self)
        object.__setattr__(self, "data_dir", Path(self.data_dir))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def functions_enabled(self) -> bool:
        return self.functions == "on" or (self.functions == "auto" and self.is_loopback)

    @property
    def limits_rates(self) -> bool:
        return self.rate_limits == "on" or (self.rate_limits == "auto" and not self.is_loopback)

    @property
    def mail_mode(self) -> str:
        """`outbox`, `smtp` or `off`."""
        if self.mail == "auto":
            return "smtp" if self.smtp_url else "outbox"
        return self.mail

    @property
    def mail_sender(self) -> str:
        """The address that mails come from."""
        return self.mail_from or f"noreply@{urlsplit(self.public_url).hostname or 'localhost'}"

    @property
    def request_limit(self) -> int:
        """Largest body that is no upload."""
        return 4_000_000


def _check_public_url(text: str) -> None:
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        whole = False
    if text and (not whole or parts.username is not None or parts.query or parts.fragment or not text.isascii()):
        raise ValueError(f"public_url must be an http or https URL without user, query and fragment, not {text!r}")


def _check_mail(config: Config) -> None:
    if config.smtp_url:
        from litewrite.smtp import SmtpServer

        try:
            SmtpServer.parse(config.smtp_url)
        except ValueError as error:
            raise ValueError(f"smtp_url cannot be read: {error}") from None
    elif config.mail == "smtp":
        raise ValueError("mail cannot be smtp without smtp_url, the URL of the mail server")
    if config.mail_from and not _MAIL_ADDRESS.fullmatch(config.mail_from):
        raise ValueError(f"mail_from must be an e-mail address such as noreply@example.com, not {config.mail_from!r}")


_MAIL_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table of settings."""

    name: str
    flag: str
    """Empty when there is no flag, because a command line is readable for others."""
    variable: str
    default: Any
    help: str
    metavar: str | None
    choices: tuple[str, ...]


def settings() -> tuple[Setting, ...]:
    """All settings, in the order of the table."""
    empty = Config()
    rows = []
    for row in fields(Config):
        metadata = row.metadata
        flag = metadata["flag"]
        rows.append(
            Setting(
                name=row.name,
                flag=f"--{row.name.replace('_', '-')}" if flag is None else flag,
                variable=metadata["variable"] or f"LITEWRITE_{row.name.upper()}",
                default=getattr(empty, row.name),
                help=metadata["help"],
                metavar=metadata["metavar"],
                choices=metadata["choices"],
            )
        )
    return tuple(rows)


def convert(setting: Setting, text: str) -> Any:
    """The value of a setting out of a flag or a variable. Raises ValueError with a sentence that names the variable."""
    default = setting.default
    if isinstance(default, bool):
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("", "0", "false", "no", "off"):
            return False
        raise ValueError(f"{setting.variable} must be true or false, not {text!r}")
    if isinstance(default, int):
        try:
            return int(text)
        except ValueError:
            raise ValueError(f"{setting.variable} must be a whole number, not {text!r}") from None
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if setting.name in ("data_dir", "ready_file"):
        return Path(text)
    return text


def from_environment(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The settings that environment variables give, as arguments for `Config`."""
    variables = os.environ if environment is None else environment
    return {
        setting.name: convert(setting, variables[setting.variable])
        for setting in settings()
        if variables.get(setting.variable)
    }


def new_server_secret() -> str:
    return secrets.token_hex(32)
