"""The health service: is the server well."""

from __future__ import annotations

import time

from litewrite.api.context import Context
from litewrite.api.v0_11 import models
from litewrite.api.v0_11.scopes import PUBLIC
from litewrite.config import DIALECT_VERSION
from litewrite.http.endpoint import Routes

routes = Routes()

SCOPE = "health.read"
KEY = ("key",)
OK = {"status": "OK"}
NONE_WAIT = {"size": 0}


@routes.get("/v1/health", name="health.get", summary="Get HTTP", scope=SCOPE, auth=KEY)
async def get(ctx: Context) -> models.Status:
    """Whether the server answers."""
    return models.Status(OK)


@routes.get("/v1/health/version", name="health.getVersion", summary="Get Version", scope=PUBLIC, with_any_key=True)
async def get_version(ctx: Context) -> models.Version:
    """The release of Appwrite whose API the server speaks."""
    return models.Version({"version": DIALECT_VERSION})


@routes.get("/v1/health/db", name="health.getDB", summary="Get DB", scope=SCOPE, auth=KEY)
async def get_db(ctx: Context) -> models.Status:
    """Whether the database answers a query."""
    await ctx.services.health.check_database()
    return models.Status(OK)


@routes.get("/v1/health/cache", name="health.getCache", summary="Get Cache", scope=SCOPE, auth=KEY)
async def get_cache(ctx: Context) -> models.Status:
    """Whether the cache answers; it is a part of the process."""
    return models.Status(OK)


@routes.get("/v1/health/time", name="health.getTime", summary="Get Time", scope=SCOPE, auth=KEY)
async def get_time(ctx: Context) -> models.Time:
    """The clock of the server. No time server is asked."""
    now = int(time.time())
    return models.Time({"remote": now, "local": now, "diff": 0})


@routes.get(
    "/v1/health/queue/webhooks",
    name="health.getQueueWebhooks",
    summary="Get Webhooks Queue",
    scope=SCOPE,
    auth=KEY,
)
async def get_queue_webhooks(ctx: Context) -> models.QueueSize:
    """Webhook deliveries that wait."""
    return models.QueueSize({"size": await ctx.services.health.waiting_webhooks()})


@routes.get("/v1/health/queue/tasks", name="health.getQueueTasks", summary="Get Tasks Queue", scope=SCOPE, auth=KEY)
async def get_queue_tasks(ctx: Context) -> models.QueueSize:
    """Scheduled HTTP tasks that wait; there is no such queue, so none."""
    return models.QueueSize(NONE_WAIT)


@routes.get("/v1/health/queue/logs", name="health.getQueueLogs", summary="Get Logs Queue", scope=SCOPE, auth=KEY)
async def get_queue_logs(ctx: Context) -> models.QueueSize:
    """Audit entries that wait; they are written with what they record, so none."""
    return models.QueueSize(NONE_WAIT)


@routes.get("/v1/health/queue/usage", name="health.getQueueUsage", summary="Get Usage Queue", scope=SCOPE, auth=KEY)
async def get_queue_usage(ctx: Context) -> models.QueueSize:
    """Usage counts that wait; there is no such queue, so none."""
    return models.QueueSize(NONE_WAIT)


@routes.get(
    "/v1/health/queue/certificates",
    name="health.getQueueCertificates",
    summary="Get Certificate Queue",
    scope=SCOPE,
    auth=KEY,
)
async def get_queue_certificates(ctx: Context) -> models.QueueSize:
    """Certificates that wait; there is no such queue, so none."""
    return models.QueueSize(NONE_WAIT)


@routes.get(
    "/v1/health/queue/functions",
    name="health.getQueueFunctions",
    summary="Get Functions Queue",
    scope=SCOPE,
    auth=KEY,
)
async def get_queue_functions(ctx: Context) -> models.QueueSize:
    """Executions that wait for their turn."""
    return models.QueueSize({"size": await ctx.services.health.waiting_functions()})


@routes.get(
    "/v1/health/storage/local",
    name="health.getStorageLocal",
    summary="Get Local Storage",
    scope=SCOPE,
    auth=KEY,
)
async def get_storage_local(ctx: Context) -> models.Status:
    """Whether the folder of the files can be read and written."""
    await ctx.services.health.check_storage()
    return models.Status(OK)


@routes.get("/v1/health/anti-virus", name="health.getAntiVirus", summary="Get Anti virus", scope=SCOPE, auth=KEY)
async def get_anti_virus(ctx: Context) -> models.AntiVirus:
    """The state of the virus scanner; there is none."""
    return models.AntiVirus({"status": "disabled", "version": ""})
