"""Builds every object of a server once and wires them, as a stack of contexts; leaving it is that list backwards."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from litewrite import __version__
from litewrite.api.dialect import SocketHandler
from litewrite.api.pipeline import NO_SOCKETS, Pipeline
from litewrite.api.v0_11 import make_dialect
from litewrite.api.v0_11.events import SUBSCRIBABLE, Renderer
from litewrite.api.v0_11.realtime import PATH, Realtime
from litewrite.api.v0_11.scopes import KEY_SCOPES
from litewrite.blobs.local import LocalBlobStore
from litewrite.config import Config
from litewrite.countries import Countries
from litewrite.data_folder import BLOBS, DATABASE, PICTURES
from litewrite.db.migrate import DataRefused, MigrationError
from litewrite.db.sqlite import SqliteDatabase
from litewrite.entities import CONSOLE
from litewrite.errors import LitewriteError
from litewrite.events import EventBus
from litewrite.executor.process import Runner
from litewrite.http.hosts import HostPolicy
from litewrite.http.openapi import describe
from litewrite.oauth.client import Client
from litewrite.oauth.flow import Flow
from litewrite.outbound import Outbound
from litewrite.reference import Reference, data_folder
from litewrite.security import Passwords, ServerSecret
from litewrite.services import Services
from litewrite.services.accounts import Accounts
from litewrite.services.admins import Admins
from litewrite.services.auth import Auth
from litewrite.services.avatars import Avatars
from litewrite.services.blob_sweep import sweeping
from litewrite.services.cleanup import Cleanup
from litewrite.services.collections import Collections
from litewrite.services.documents import Documents
from litewrite.services.event_runs import EventRuns
from litewrite.services.executions import Executions
from litewrite.services.files import Files
from litewrite.services.functions import Functions
from litewrite.services.health import Health
from litewrite.services.locale import Locale
from litewrite.services.mail_delivery import MailDelivery
from litewrite.services.mails import Mails
from litewrite.services.oauth import OAuth
from litewrite.services.outbox import Recorder
from litewrite.services.pictures import Pictures
from litewrite.services.platforms import Platforms
from litewrite.services.previews import Previews
from litewrite.services.projects import Keys, Projects, ensure_project
from litewrite.services.providers import Providers
from litewrite.services.rate_limits import RateLimits
from litewrite.services.removal_slices import SLICES
from litewrite.services.schedules import Schedules
from litewrite.services.teams import Teams
from litewrite.services.tokens import Tokens
from litewrite.services.usage import Usage
from litewrite.services.users import Users
from litewrite.services.webhooks import Webhooks
from litewrite.smtp import SmtpServer
from litewrite.user_agents import Detector
from litewrite.webhooks import WebhookDelivery

REFUSALS = (DataRefused, MigrationError, LitewriteError)
"""What `open_backend` raises with a sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Everything behind the HTTP interface of one data folder."""

    config: Config
    db: SqliteDatabase
    blobs: LocalBlobStore
    bus: EventBus
    services: Services
    cleanup: Cleanup
    key_scopes: tuple[str, ...]
    """What an API key may be given."""
    event_names: tuple[str, ...]
    """What a webhook can be told of."""
    serving: bool = True
    """Whether it answers requests, rather than a single command."""


@contextlib.asynccontextmanager
async def open_backend(
    config: Config, folder: Path, secret: ServerSecret, *, serving: bool = True
) -> AsyncIterator[Backend]:
    """Open a data folder that is locked by this process and has its server secret; closing it finishes what runs.

    The app project is made when it is missing. `serving=False` is for a command: no function runs and nothing is
    cleaned up meanwhile, and a project that is missing is made in a new database only.
    """
    is_new = not (folder / DATABASE).exists()
    async with contextlib.AsyncExitStack() as stack:
        db = await stack.enter_async_context(SqliteDatabase(folder / DATABASE, durability=config.durability))
        blobs = await stack.enter_async_context(LocalBlobStore(folder / BLOBS))
        bus = EventBus()
        db.on_events(bus.publish)
        db.set_recorder(Recorder(Renderer(), secret, functions=config.functions_enabled))
        passwords = Passwords(memory_kib=config.password_memory, passes=config.password_passes)
        stack.callback(passwords.close)
        runner = await stack.enter_async_context(
            Runner(python=config.python or None, max_concurrent=config.function_slots)
        )
        files = Files(db, blobs)
        stack.push_async_callback(files.close)
        functions = Functions(db, blobs, secret, longest_timeout=config.function_timeout)
        stack.push_async_callback(functions.close)
        executions = Executions(db, blobs, runner, secret, config)
        outbound = await stack.enter_async_context(
            Outbound(f"litewrite/{__version__}", allow_private=config.allow_private_fetch)
        )
        pictures = await stack.enter_async_context(Pictures(folder / PICTURES, config.picture_cache))
        previews = Previews(files, pictures, data_folder())
        bus.subscribe(previews.on_event)
        collections = Collections(db)
        countries = Countries()
        reference = Reference()
        mails = Mails(db, secret, config, reference)
        accounts = Accounts(db, passwords, secret, Detector(), countries)
        users = Users(db, passwords, accounts)
        providers = Providers(db, secret, with_mock=config.mock_oauth2)
        client = await stack.enter_async_context(Client())
        services = Services(
            config=config,
            admins=Admins(db, passwords, users),
            projects=Projects(db, providers, passwords),
            platforms=Platforms(db),
            keys=Keys(db),
            webhooks=Webhooks(db, secret),
            providers=providers,
            auth=Auth(db, secret),
            accounts=accounts,
            oauth=OAuth(db, secret, passwords, accounts, providers, Flow(client)),
            tokens=Tokens(db, passwords, accounts, mails),
            users=users,
            teams=Teams(db, accounts, mails),
            collections=collections,
            documents=Documents(db, collections),
            files=files,
            previews=previews,
            functions=functions,
            executions=executions,
            usage=Usage(db),
            health=Health(db, blobs),
            avatars=Avatars(pictures, outbound, data_folder()),
            locale=Locale(reference, countries),
            mails=mails,
            rate_limits=RateLimits(),
        )
        await db.write(ensure_project(CONSOLE, "Console"))
        cleanup = Cleanup(db, blobs, SLICES)
        if serving or is_new:
            await cleanup.finish_project(config.project)
            await db.write(ensure_project(config.project))
        if serving:
            await stack.enter_async_context(cleanup)
            if not is_new:
                # Beside a database that was lost, blobs are all there is left.
                await stack.enter_async_context(sweeping(db, blobs))
            await stack.enter_async_context(services.documents)
            await stack.enter_async_context(executions)
            if config.functions_enabled:
                await stack.enter_async_context(EventRuns(db, executions))
                await stack.enter_async_context(Schedules(db, executions))
            # Not the client of the avatars: targets that do not answer would take all of its slots.
            targets = await stack.enter_async_context(
                Outbound(f"litewrite/{__version__}", allow_private=config.allow_private_fetch)
            )
            await stack.enter_async_context(WebhookDelivery(db, secret, targets, allow_loopback=config.is_loopback))
            if config.mail_mode == "smtp":
                await stack.enter_async_context(
                    MailDelivery(db, mails, SmtpServer.parse(config.smtp_url), sender=config.mail_sender)
                )
        yield Backend(config, db, blobs, bus, services, cleanup, KEY_SCOPES, SUBSCRIBABLE, serving)


def make_pipeline(backend: Backend, *, sockets: Mapping[str, SocketHandler] = NO_SOCKETS, prefix: str = "") -> Pipeline:
    config = backend.config
    return Pipeline(
        backend.services,
        make_dialect(config.version, mock_oauth2=config.mock_oauth2),
        HostPolicy(public_url=config.public_url, allowed=config.allowed_hosts, trusted_proxies=config.trusted_proxies),
        limits_rates=config.limits_rates,
        sockets=sockets,
        prefix=prefix,
    )


def make_application(backend: Backend, *, prefix: str = "") -> web.Application:
    """The aiohttp application that answers every path below `prefix`; it can be mounted into another one."""
    realtime = Realtime(backend.services, limits_rates=backend.config.limits_rates)
    backend.db.on_invalidate(realtime.forget)
    backend.bus.subscribe(realtime.publish)
    pipeline = make_pipeline(backend, sockets={PATH: realtime.handle}, prefix=prefix)
    application = web.Application(client_max_size=0)
    application.on_shutdown.append(realtime.stop)
    application.on_cleanup.append(realtime.close)
    application.router.add_route("*", r"/{path:[\s\S]*}", pipeline.handle)
    return application


def openapi_document() -> dict[str, Any]:
    """The OpenAPI description of everything the server answers."""
    dialect = make_dialect()
    return describe(
        dialect.endpoints,
        title="litewrite",
        version=dialect.version,
        description="The REST API of Appwrite 0.11 as litewrite speaks it.",
    )
