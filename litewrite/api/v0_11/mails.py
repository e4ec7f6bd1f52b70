"""The outbox, for administrators: what a project has mailed. An extra of litewrite that Appwrite 0.11 does not have.

A link in a mail logs its user in, so an API key cannot read mails, whatever its scopes.
"""

from __future__ import annotations

from typing import Annotated

from litewrite.api.context import Context
from litewrite.api.v0_11 import models_mail as models
from litewrite.api.v0_11.params import ID
from litewrite.api.v0_11.scopes import MAILS
from litewrite.http.endpoint import Routes
from litewrite.http.params import Email, Integer, OneOf
from litewrite.mail import KINDS

routes = Routes()

ADMIN = ("session",)


@routes.get("/v1/litewrite/mails", name="mails.list", summary="List Mails", scope=MAILS, auth=ADMIN)
async def list_mails(
    ctx: Context,
    to: Annotated[str, Email(), "Only mails to this address."] = "",
    kind: Annotated[str, OneOf(KINDS), "Only mails of this kind."] = "",
    after: Annotated[str, ID, "Only mails that came after the one with this id."] = "",
    limit: Annotated[int, Integer(1, 100), "How many at most."] = 25,
    timeout: Annotated[int, Integer(0, 60), "Seconds to wait for a mail when there is none yet."] = 0,
) -> models.MailList:
    """The newest mails of the project, newest first, without what they say."""
    mails, project_id = ctx.services.mails, ctx.project.project.id
    if timeout:
        await mails.wait(project_id, to=to, kind=kind, after=after, seconds=timeout)
    return models.MailList.of(await mails.list(project_id, to=to, kind=kind, after=after, limit=limit))


@routes.get("/v1/litewrite/mails/{mailId}", name="mails.get", summary="Get Mail", scope=MAILS, auth=ADMIN)
async def get_mail(ctx: Context, mail_id: Annotated[str, ID, "Id of the mail."]) -> models.Mail:
    """One mail with what it says, which is empty once a mail server has taken it."""
    mails = ctx.services.mails
    stored = await mails.get(ctx.project.project.id, mail_id)
    return models.Mail.of(stored, mails.read(stored) if stored.content else None)
