"""Builds every object of a server once and wires them, as a stack of contexts; leaving it is the same list backwards."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from litewrite.api.pipeline import Pipeline
from litewrite.api.v0_11 import make_dialect
from litewrite.api.v0_11.events import Renderer
from litewrite.blobs.local import LocalBlobStore
from litewrite.config import Config
from litewrite.db.sqlite import SqliteDatabase
from litewrite.entities import CONSOLE
from litewrite.events import EventBus
from litewrite.executor.process import Runner
from litewrite.http.hosts import HostPolicy
from litewrite.security import Passwords, ServerSecret
from litewrite.services import Services
from litewrite.services.accounts import Accounts
from litewrite.services.auth import Auth
from litewrite.services.cleanup import Cleanup
from litewrite.services.collections import Collections
from litewrite.services.documents import Documents
from litewrite.services.executions import Executions
from litewrite.services.files import Files
from litewrite.services.functions import Functions
from litewrite.services.health import Health
from litewrite.services.outbox import Recorder
from litewrite.services.projects import Keys, Projects, ensure_project
from litewrite.services.rate_limits import RateLimits
from litewrite.user_agents import Detector

DATABASE = "litewrite.db"
BLOBS = "blobs"


@dataclass(frozen=True, slots=True)
class Backend:
    """Everything behind the HTTP interface of one data folder."""

    config: Config
    db: SqliteDatabase
    blobs: LocalBlobStore
    bus: EventBus
    services: Services


@contextlib.asynccontextmanager
async def open_backend(config: Config, folder: Path, secret: ServerSecret) -> AsyncIterator[Backend]:
    """Open a data folder that is locked by this process and has its server secret; closing it finishes what runs."""
    async with contextlib.AsyncExitStack() as stack:
        db = await stack.enter_async_context(
            SqliteDatabase(folder / DATABASE, durability=config.durability)
        )
        blobs = await stack.enter_async_context(LocalBlobStore(folder / BLOBS))
        bus = EventBus()
        db.on_events(bus.publish)
        db.set_recorder(Recorder(Renderer(), secret))
        passwords = Passwords(memory_kib=config.password_memory, passes=config.password_passes)
        stack.callback(passwords.close)
        runner = await stack.enter_async_context(Runner(python=config.python or None))
        executions = Executions(db, blobs, runner, secret, config)
        services = Services(
            config=config,
            projects=Projects(db),
            keys=Keys(db),
            auth=Auth(db, secret),
            accounts=Accounts(db, passwords, secret, Detector()),
            collections=Collections(db),
            documents=Documents(db),
            files=Files(db, blobs),
            functions=Functions(db, blobs, secret),
            executions=executions,
            health=Health(db, blobs),
            rate_limits=RateLimits(),
        )
        for project in (CONSOLE, config.project):
            await db.write(ensure_project(project, "Console" if project == CONSOLE else ""))
        await stack.enter_async_context(Cleanup(db, blobs))
        await stack.enter_async_context(executions)
        yield Backend(config, db, blobs, bus, services)


def make_pipeline(backend: Backend, *, prefix: str = "") -> Pipeline:
    config = backend.config
    return Pipeline(
        backend.services,
        make_dialect(config.version),
        HostPolicy(
            public_url=config.public_url, allowed=config.allowed_hosts, trusted_proxies=config.trusted_proxies
        ),
        limits_rates=config.limits_rates,
        prefix=prefix,
    )


def make_application(backend: Backend, *, prefix: str = "") -> web.Application:
    """The aiohttp application that answers every path below `prefix`; it can be mounted into another one."""
    pipeline = make_pipeline(backend, prefix=prefix)
    application = web.Application(client_max_size=0)
    application.router.add_route("*", "/{path:.*}", pipeline.handle)
    return application
