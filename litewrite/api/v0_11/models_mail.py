"""What litewrite's own endpoints for the outbox answer, in the manner of Appwrite 0.11."""

from __future__ import annotations

from collections.abc import Iterable

from litewrite import entities, mail
from litewrite.api.v0_11.models import seconds
from litewrite.http.model import Field, Model

_STORED = (
    Field("$id", "string", "Id of the mail.", "61d5c1a2b3c4d"),
    Field("kind", "string", "verification, recovery, magic-link or invitation.", "recovery"),
    Field("to", "string", "Address of the recipient.", "ada@example.com"),
    Field("state", "string", "kept in the outbox, queued, sent or failed.", "kept"),
    Field("dateCreated", "integer", "Creation, in Unix seconds.", 1641421833),
    Field("attempts", "integer", "Attempts to send it that failed.", 0),
    Field("error", "string", "Why the last of them did.", ""),
)


def _stored(stored: entities.StoredMail) -> dict[str, object]:
    return {
        "$id": stored.id,
        "kind": stored.kind,
        "to": stored.recipient,
        "state": stored.state.value,
        "dateCreated": seconds(stored.created_at),
        "attempts": stored.attempts,
        "error": stored.last_error,
    }


class MailSummary(Model):
    """A mail without what it says."""

    FIELDS = _STORED

    @classmethod
    def of(cls, stored: entities.StoredMail) -> MailSummary:
        return cls(_stored(stored))


class MailList(Model):
    """The newest mails of a project."""

    FIELDS = (
        Field("sum", "integer", "Number of mails in the list.", 1),
        Field("mails", MailSummary, "The mails, newest first.", is_list=True),
    )

    @classmethod
    def of(cls, mails: Iterable[entities.StoredMail]) -> MailList:
        listed = [MailSummary.of(stored).fragment() for stored in mails]
        return cls({"sum": len(listed), "mails": listed})


class Mail(Model):
    """A mail with what it says; the texts are empty once a mail server has taken it."""

    FIELDS = (
        *_STORED,
        Field("toName", "string", "Name of the recipient.", "Ada Example"),
        Field("from", "string", "Name of the sender.", "Example Team"),
        Field("locale", "string", "Language of the mail.", "en"),
        Field("subject", "string", "Subject.", "Password Reset"),
        Field("text", "string", "The plain text.", "Hello Ada Example, ..."),
        Field("html", "string", "The same as HTML.", "<!doctype html> ..."),
        Field("link", "string", "The link of the mail.", "https://app.example.com/reset?userId=..."),
    )

    @classmethod
    def of(cls, stored: entities.StoredMail, content: mail.Mail | None) -> Mail:
        return cls(
            {
                **_stored(stored),
                "toName": content.to_name if content else "",
                "from": content.sender_name if content else "",
                "locale": content.locale if content else "",
                "subject": content.subject if content else "",
                "text": content.text if content else "",
                "html": content.html if content else "",
                "link": content.link if content else "",
            }
        )
