"""The nouns of litewrite as frozen dataclasses, free of SQL, HTTP and any dialect.

Names are those of today's Appwrite (attribute, deployment, execution). Times are aware datetimes in UTC. Ids are 13
lower-case hexadecimal characters made by the server, except those of projects, which people choose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any, Generic, TypeVar

T = TypeVar("T")

EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Permissions:
    """Roles that may read, and roles that may write (update and delete). Order and duplicates are kept."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


class UserStatus(IntEnum):
    REGISTERED = 0
    ACTIVE = 1
    BLOCKED = 2


@dataclass(frozen=True, slots=True)
class User:
    """A user of one project. `password_hash` is empty when the user has no password."""

    id: str
    project_id: str
    name: str
    email: str
    registered_at: datetime
    status: UserStatus = UserStatus.REGISTERED
    email_verified: bool = False
    password_hash: str = ""
    password_updated_at: datetime = EPOCH
    """When the user set the password; the epoch when the server invented it."""
    reset_required: bool = False
    preferences: str = "{}"
    """A JSON object as text, kept as the user sent it."""

    @property
    def is_anonymous(self) -> bool:
        return not self.email and not self.password_hash

    @property
    def is_blocked(self) -> bool:
        return self.status is UserStatus.BLOCKED


@dataclass(frozen=True, slots=True)
class Client:
    """What a User-Agent says about the program and the device. Unknown parts are empty strings."""

    os_code: str = ""
    os_name: str = ""
    os_version: str = ""
    client_type: str = ""
    client_code: str = ""
    client_name: str = ""
    client_version: str = ""
    client_engine: str = ""
    client_engine_version: str = ""
    device_name: str = ""
    device_brand: str = ""
    device_model: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """A login of a user. The secret itself is nowhere stored, only its SHA-256."""

    id: str
    project_id: str
    user_id: str
    secret_hash: str
    expires_at: datetime
    provider: str
    provider_uid: str = ""
    provider_token: bytes = b""
    """Access token of the provider, encrypted with the server secret; empty when there is none."""
    ip: str = ""
    country_code: str = "--"
    client: Client = Client()


@dataclass(frozen=True, slots=True)
class Token:
    """A secret that was mailed to a user and works once. Only its SHA-256 is stored."""

    id: str
    project_id: str
    user_id: str
    kind: str
    """`recovery`, `verification` or `magic-url`."""
    email: str
    """Where it was sent; it works only as long as the user has that address."""
    secret_hash: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Membership:
    """A place of a user in a team; it counts once the user has confirmed it."""

    id: str
    project_id: str
    team_id: str
    user_id: str
    roles: tuple[str, ...]
    invited_at: datetime
    joined_at: datetime | None = None
    confirmed: bool = False
    secret_hash: str = ""
    """Of the secret in the invitation; empty when there was none to accept."""
    invited_email: str = ""
    """Where the invitation went, whatever address the user has now; empty for who made the team."""


@dataclass(frozen=True, slots=True)
class Member:
    """A membership with what its user is called."""

    membership: Membership
    name: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class Team:
    id: str
    project_id: str
    name: str
    total: int
    created_at: datetime


class PlatformType(StrEnum):
    WEB = "web"
    FLUTTER_IOS = "flutter-ios"
    FLUTTER_ANDROID = "flutter-android"
    FLUTTER_MACOS = "flutter-macos"
    FLUTTER_WINDOWS = "flutter-windows"
    FLUTTER_LINUX = "flutter-linux"
    APPLE_IOS = "apple-ios"
    APPLE_MACOS = "apple-macos"
    APPLE_WATCHOS = "apple-watchos"
    APPLE_TVOS = "apple-tvos"
    ANDROID = "android"
    IOS = "ios"
    UNITY = "unity"


@dataclass(frozen=True, slots=True)
class Platform:
    """A client of a project that may call it: a web host name, or the identifier of an app."""

    id: str
    project_id: str
    type: str
    name: str
    key: str = ""
    hostname: str = ""
    store: str = ""
    created_at: datetime = EPOCH
    updated_at: datetime = EPOCH


@dataclass(frozen=True, slots=True)
class Key:
    """An API key. Its secret is shown once, at creation; afterwards only `hint`, its first characters."""

    id: str
    project_id: str
    name: str
    scopes: tuple[str, ...]
    secret_hash: str
    hint: str
    created_at: datetime = EPOCH


@dataclass(frozen=True, slots=True)
class Webhook:
    """A URL that is told of the events it names. What is secret of it is encrypted with the server secret."""

    id: str
    project_id: str
    name: str
    url: str
    events: tuple[str, ...]
    verify_tls: bool
    http_user: str = ""
    http_password: bytes = b""
    """For basic authentication; empty for none."""
    signature_secret: bytes = b""
    """What deliveries can be signed with; made with the webhook and never changed."""
    created_at: datetime = EPOCH
    updated_at: datetime = EPOCH


@dataclass(frozen=True, slots=True)
class Project:
    """Everything belongs to one project. `settings` holds what its owners have chosen, as one JSON object."""

    id: str
    name: str
    team_id: str = ""
    created_at: datetime = EPOCH
    settings: Mapping[str, Any] = field(default_factory=dict)

    def auth_enabled(self, method: str) -> bool:
        """Whether a way of logging in (`email-password`, `magic-url`, `anonymous`, `jwt`, ...) is switched on."""
        return bool(self.settings.get("auth", {}).get(method, True))

    @property
    def user_limit(self) -> int:
        """The most users the project may have; 0 is no limit."""
        return int(self.settings.get("user_limit", 0))


CONSOLE = "console"
"""Id of the built-in project whose users are the administrators."""

PROJECT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
"""What the whole of a project's id looks like; it is part of cookie names and URLs."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One declared attribute of a collection's documents."""

    id: str
    key: str
    type: str
    label: str = ""
    default: Any = None
    required: bool = False
    array: bool = False
    list: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Collection:
    id: str
    project_id: str
    name: str
    permissions: Permissions
    attributes: tuple[Attribute, ...]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Document:
    """A document. `data` is the JSON text of its attributes, an object without null members.

    Attributes that hold documents are no part of it: they are `children`, each key with its document or documents.
    """

    id: str
    collection_id: str
    permissions: Permissions
    data: str
    children: tuple[tuple[str, Document | tuple[Document, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class File:
    """A stored file. Its bytes lie in the blob store under `blob_key`."""

    id: str
    project_id: str
    bucket_id: str
    permissions: Permissions
    name: str
    mime_type: str
    signature: str
    """MD5 of the content, 32 hexadecimal characters."""
    size: int
    blob_key: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Function:
    id: str
    project_id: str
    name: str
    execute: tuple[str, ...]
    runtime: str
    deployment_id: str
    variables: Mapping[str, Any]
    events: tuple[str, ...]
    schedule: str
    timeout: int
    """Longest run in seconds."""
    created_at: datetime
    updated_at: datetime
    schedule_next: datetime | None = None
    schedule_previous: datetime | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """An uploaded archive of code with the command that starts it."""

    id: str
    project_id: str
    function_id: str
    command: str
    size: int
    blob_key: str
    created_at: datetime


class ExecutionStatus(StrEnum):
    WAITING = "waiting"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of a function. `duration` is in seconds of wall-clock time, 0 before the end."""

    id: str
    project_id: str
    function_id: str
    permissions: Permissions
    trigger: str
    status: ExecutionStatus
    created_at: datetime
    deployment_id: str = ""
    exit_code: int = 0
    stdout: str = ""
    stderr: str = ""
    duration: float = 0.0


@dataclass(frozen=True, slots=True)
class AuditEntry:
    project_id: str
    user_id: str
    event: str
    resource: str
    user_agent: str
    ip: str
    occurred_at: datetime
    country_code: str = "--"


class MailState(StrEnum):
    KEPT = "kept"
    """In the outbox; it is not going to be sent."""
    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"
    """Refused for good by the mail server, or not taken by it for too long."""


@dataclass(frozen=True, slots=True)
class StoredMail:
    """A mail of a project as it is kept, or on its way to the mail server."""

    id: str
    project_id: str
    kind: str
    """`verification`, `recovery`, `magic-link` or `invitation`."""
    recipient: str
    content: bytes
    """Encrypted; empty once the mail has been sent or has failed."""
    state: MailState
    created_at: datetime
    due_at: datetime
    """When it is to be sent, for a queued mail."""
    attempts: int = 0
    """Attempts to send it that failed."""
    last_error: str = ""


class DeliveryState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"
    """Refused for good by the target, or not taken by it for too long."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to one webhook or function, or what became of it."""

    id: str
    project_id: str
    target_id: str
    event: str
    payload: bytes
    """Encrypted; empty when there is none, and once the delivery has ended."""
    user_id: str
    """Who caused the event; empty for nobody."""
    state: DeliveryState
    attempts: int
    due_at: datetime
    """When the next attempt is made; the epoch before the first."""
    status: int
    """HTTP status of the last answer; 0 when there was none."""
    error: str
    created_at: datetime
    ended_at: datetime = EPOCH


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list and the number of all matches."""

    total: int
    items: tuple[T, ...]
