"""Every setting, once: from this table come the fields, the command line flags, the environment variables and the README.

A flag wins over its variable, a variable over the default. `Config(...)` takes the same names for embedding.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

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
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one server. Sizes are in bytes, times in seconds. Raises ValueError for a value out of range."""

    data_dir: Path = _setting(
        Path("litewrite_data"), "folder with the database and the files", flag="--data", variable="LITEWRITE_DATA"
    )
    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(8700, "port to listen on; 0 picks a free one")
    project: str = _setting("default", "id of the app project, made when it does not exist", metavar="ID")
    durability: str = _setting(
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
    python: str = _setting("", "interpreter for Python functions; by default the one that runs the server", metavar="PATH")
    public_url: str = _setting("", "URL under which clients reach the server, behind a proxy", metavar="URL")
    allowed_hosts: tuple[str, ...] = _setting(
        (), "host name to answer under, besides localhost and addresses (repeatable)", flag="--allowed-host", metavar="NAME"
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
    locale: str = _setting("en", "language of answers and mails for clients that name none", metavar="CODE")
    version: str = _setting(DIALECT_VERSION, "version that errors report", metavar="TEXT")
    secret: str = _setting(
        "", "server secret; by default one is made and kept in the data folder", flag="", variable="LITEWRITE_SECRET"
    )
    log_format: str = _setting("text", "format of log lines on standard error", choices=("text", "json"))
    ready_file: Path | None = _setting(
        None, "JSON file written once requests are answered: url, endpoint, project, pid", metavar="PATH"
    )
    exit_with_parent: bool = _setting(False, "stop when the process that started the server ends")
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
            if setting.metadata["positive"] and value < 1:
                raise ValueError(f"{setting.name} must be at least 1, not {value}")
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port must be from 0 to 65535, not {self.port}")
        object.__setattr__(self, "data_dir", Path(self.data_dir))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in ("127.0.0.1", "::1", "localhost") or self.host.startswith("127.")

    @property
    def functions_enabled(self) -> bool:
        return self.functions == "on" or (self.functions == "auto" and self.is_loopback)

    @property
    def limits_rates(self) -> bool:
        return self.rate_limits == "on" or (self.rate_limits == "auto" and not self.is_loopback)

    @property
    def request_limit(self) -> int:
        """Largest body that is no upload."""
        return 4_000_000


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
