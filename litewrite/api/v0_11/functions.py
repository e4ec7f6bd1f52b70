"""The functions service: functions, their code (tags) and their executions."""

from __future__ import annotations

from typing import Annotated, Any

from litewrite.api.context import Context
from litewrite.api.v0_11 import models, models_usage
from litewrite.api.v0_11.events import SUBSCRIBABLE
from litewrite.api.v0_11.params import ID, LIMIT, NAME, OFFSET, ORDER_TYPE, ROLES, SEARCH
from litewrite.http.endpoint import FORMALLY_REQUIRED, FileUpload, RateLimit, Routes
from litewrite.http.params import Integer, JsonObject, ListOf, OneOf, Text
from litewrite.services.files import Upload
from litewrite.services.functions import DEFAULT_TIMEOUT, LARGEST_VARIABLES, RUNTIME_KEYS
from litewrite.services.usage import PERIODS

routes = Routes()

SESSION, JWT, KEY = "session", "jwt", "key"
SERVER = (KEY,)
ALL = (SESSION, KEY, JWT)
READ, WRITE = "functions.read", "functions.write"
EXECUTION_READ, EXECUTION_WRITE = "execution.read", "execution.write"
MINUTE = 60

RUNTIME = OneOf(RUNTIME_KEYS)
VARIABLES = JsonObject(max_bytes=LARGEST_VARIABLES)
EVENTS = ListOf(OneOf(SUBSCRIBABLE))
SCHEDULE = Text(max=1_024)
TIMEOUT = Integer(1, 900)
COMMAND = Text(max=1_028)
DATA = Text(max=8_192)
RANGE = OneOf(tuple(PERIODS), ignore_case=True)

Id = Annotated[str, ID, "Id of the function."]
Search = Annotated[str, SEARCH, "Words to look for."]
Limit = Annotated[int, LIMIT, "Most items to give."]
Offset = Annotated[int, OFFSET, "Items to skip."]
Order = Annotated[str, ORDER_TYPE, "Order by creation."]
Name = Annotated[str, NAME, "Name; need not be unique."]
Execute = Annotated[list[str] | None, ROLES, "Roles that may run the function.", FORMALLY_REQUIRED]
Vars = Annotated[dict[str, Any] | None, VARIABLES, "Environment variables of the program."]
Events = Annotated[list[str] | None, EVENTS, "Events that run the function."]
Schedule = Annotated[
    str,
    SCHEDULE,
    "When the function runs by itself, in UTC: a CRON expression of five fields, or an alias such as @daily.",
]
Timeout = Annotated[int, TIMEOUT, "Longest run, in seconds."]


@routes.post(
    "/v1/functions",
    name="functions.create",
    summary="Create Function",
    scope=WRITE,
    auth=SERVER,
    event="functions.create",
    status=201,
)
async def create(
    ctx: Context,
    *,
    name: Name,
    execute: Execute = None,
    runtime: Annotated[str, RUNTIME, "Runtime; it cannot be changed."],
    vars: Vars = None,
    events: Events = None,
    schedule: Schedule = "",
    timeout: Timeout = DEFAULT_TIMEOUT,
) -> models.Function:
    """Create a function. It can run once code was uploaded as a tag and the tag made the active one."""
    return models.Function.of(
        await ctx.services.functions.create(
            ctx.actor,
            name=name,
            runtime=runtime,
            execute=execute or (),
            variables=vars,
            events=events or (),
            schedule=schedule,
            timeout=timeout,
        )
    )


@routes.get("/v1/functions", name="functions.list", summary="List Functions", scope=READ, auth=SERVER)
async def list_functions(
    ctx: Context, search: Search = "", limit: Limit = 25, offset: Offset = 0, order_type: Order = "ASC"
) -> models.FunctionList:
    """Functions in the order of creation."""
    return models.FunctionList.of(
        await ctx.services.functions.list(
            ctx.actor, search=search, limit=limit, offset=offset, descending=order_type == "DESC"
        )
    )


@routes.get(
    "/v1/functions/{functionId}/usage",
    name="functions.getUsage",
    summary="Get Function Usage",
    scope=READ,
    auth=SERVER,
)
async def get_usage(
    ctx: Context,
    function_id: Id,
    range: Annotated[str, RANGE, "Period that ends now."] = "30d",
) -> models_usage.FunctionUsage:
    """Runs, failures and run time of a function over a period."""
    return models_usage.FunctionUsage.of(range, await ctx.services.usage.of_function(ctx.actor, function_id, range))


@routes.get("/v1/functions/{functionId}", name="functions.get", summary="Get Function", scope=READ, auth=SERVER)
async def get(ctx: Context, function_id: Id) -> models.Function:
    """One function."""
    return models.Function.of(await ctx.services.functions.get(ctx.actor, function_id))


@routes.put(
    "/v1/functions/{functionId}",
    name="functions.update",
    summary="Update Function",
    scope=WRITE,
    auth=SERVER,
    event="functions.update",
)
async def update(
    ctx: Context,
    function_id: Id,
    name: Name,
    execute: Execute = None,
    vars: Vars = None,
    events: Events = None,
    schedule: Schedule = "",
    timeout: Timeout = DEFAULT_TIMEOUT,
) -> models.Function:
    """Replace the settings of a function; what is left out goes back to its default."""
    return models.Function.of(
        await ctx.services.functions.update(
            ctx.actor,
            function_id,
            name=name,
            execute=execute or (),
            variables=vars,
            events=events or (),
            schedule=schedule,
            timeout=timeout,
        )
    )


@routes.patch(
    "/v1/functions/{functionId}/tag",
    name="functions.updateTag",
    summary="Update Function Tag",
    scope=WRITE,
    auth=SERVER,
    event="functions.tags.update",
)
async def update_tag(
    ctx: Context, function_id: Id, tag: Annotated[str, ID, "Id of the tag to run from now on."]
) -> models.Function:
    """Make a tag the active one."""
    return models.Function.of(await ctx.services.functions.deploy(ctx.actor, function_id, tag))


@routes.delete(
    "/v1/functions/{functionId}",
    name="functions.delete",
    summary="Delete Function",
    scope=WRITE,
    auth=SERVER,
    event="functions.delete",
    status=204,
)
async def delete(ctx: Context, function_id: Id) -> models.Empty:
    """Delete a function. Its tags and executions are removed in the background."""
    await ctx.services.functions.delete(ctx.actor, function_id)
    return models.Empty()


@routes.post(
    "/v1/functions/{functionId}/tags",
    name="functions.createTag",
    summary="Create Tag",
    scope=WRITE,
    auth=SERVER,
    event="functions.tags.create",
    status=201,
)
async def create_tag(
    ctx: Context,
    function_id: Id,
    command: Annotated[str, COMMAND, "Command that starts the code; no shell takes part."],
    code: Annotated[
        Upload | None,
        FileUpload(),
        "Code as a tar archive compressed by gzip; the name ends in .gz.",
        FORMALLY_REQUIRED,
    ] = None,
) -> models.Tag:
    """Upload code as a new tag. The active tag stays what it is."""
    return models.Tag.of(
        await ctx.services.functions.create_deployment(ctx.actor, function_id, command=command, upload=code)
    )


@routes.get("/v1/functions/{functionId}/tags", name="functions.listTags", summary="List Tags", scope=READ, auth=SERVER)
async def list_tags(
    ctx: Context,
    function_id: Id,
    search: Search = "",
    limit: Limit = 25,
    offset: Offset = 0,
    order_type: Order = "ASC",
) -> models.TagList:
    """Tags of a function in the order of creation."""
    return models.TagList.of(
        await ctx.services.functions.list_deployments(
            ctx.actor, function_id, search=search, limit=limit, offset=offset, descending=order_type == "DESC"
        )
    )


@routes.get(
    "/v1/functions/{functionId}/tags/{tagId}", name="functions.getTag", summary="Get Tag", scope=READ, auth=SERVER
)
async def get_tag(ctx: Context, function_id: Id, tag_id: Annotated[str, ID, "Id of the tag."]) -> models.Tag:
    """One tag."""
    return models.Tag.of(await ctx.services.functions.get_deployment(ctx.actor, function_id, tag_id))


@routes.delete(
    "/v1/functions/{functionId}/tags/{tagId}",
    name="functions.deleteTag",
    summary="Delete Tag",
    scope=WRITE,
    auth=SERVER,
    event="functions.tags.delete",
    status=204,
)
async def delete_tag(ctx: Context, function_id: Id, tag_id: Annotated[str, ID, "Id of the tag."]) -> models.Empty:
    """Delete a tag and its code. When it was the active one, none is. Executions stay."""
    await ctx.services.functions.delete_deployment(ctx.actor, function_id, tag_id)
    return models.Empty()


@routes.post(
    "/v1/functions/{functionId}/executions",
    name="functions.createExecution",
    summary="Create Execution",
    scope=EXECUTION_WRITE,
    auth=ALL,
    rate_limit=RateLimit(60, MINUTE, ("url", "ip")),
    event="functions.executions.create",
    status=201,
)
async def create_execution(
    ctx: Context,
    function_id: Id,
    data: Annotated[str, DATA, "Text for the program, which finds it in APPWRITE_FUNCTION_DATA."] = "",
) -> models.Execution:
    """Run a function. The answer comes at once; the run follows, and its end is told by an event."""
    return models.Execution.of(await ctx.services.executions.create(ctx.actor, function_id, data=data))


@routes.get(
    "/v1/functions/{functionId}/executions",
    name="functions.listExecutions",
    summary="List Executions",
    scope=EXECUTION_READ,
    auth=ALL,
)
async def list_executions(
    ctx: Context,
    function_id: Id,
    search: Search = "",
    limit: Limit = 25,
    offset: Offset = 0,
    order_type: Order = "ASC",
) -> models.ExecutionList:
    """Executions of a function that the caller may read, oldest first by default."""
    return models.ExecutionList.of(
        await ctx.services.executions.list(
            ctx.actor, function_id, search=search, limit=limit, offset=offset, descending=order_type == "DESC"
        )
    )


@routes.get(
    "/v1/functions/{functionId}/executions/{executionId}",
    name="functions.getExecution",
    summary="Get Execution",
    scope=EXECUTION_READ,
    auth=ALL,
)
async def get_execution(
    ctx: Context, function_id: Id, execution_id: Annotated[str, ID, "Id of the execution."]
) -> models.Execution:
    """One execution."""
    return models.Execution.of(await ctx.services.executions.get(ctx.actor, function_id, execution_id))
