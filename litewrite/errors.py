"""The catalogue of what can go wrong, free of HTTP.

Services raise a kind, never a status; each dialect maps every kind to a status, an identifier and a body in one table.
The message of an error is written for the caller: it never contains a secret, a path of the server or a traceback.

    LitewriteError
    ├── ArgumentInvalid, QueryInvalid, StructureInvalid, ...    the request is wrong
    ├── ScopeMissing, Unauthorized, InvalidCredentials, ...     the caller may not
    ├── NotFound kinds                                          the thing is missing or not readable
    ├── conflicts and limits                                    taken, too many, too large
    └── Overloaded, StorageFull                                 the server cannot now
"""

from __future__ import annotations


class LitewriteError(Exception):
    """Base of all expected failures. `str(error)` is a sentence for the caller."""

    message = "The request cannot be carried out"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.message)


# The request is wrong


class ArgumentInvalid(LitewriteError):
    """A parameter is missing or has a bad value. `param` names it."""

    def __init__(self, param: str, reason: str) -> None:
        super().__init__(f"Invalid {param}: {reason}" if param else reason)
        self.param = param


class ProjectUnknown(LitewriteError):
    message = "Project is missing or unknown: send its id in the X-Appwrite-Project header"


class HostUnknown(LitewriteError):
    message = "This server does not answer under that host name"


class QueryInvalid(LitewriteError):
    message = "A filter must have the form attribute, operator, value"


class PayloadMissing(LitewriteError):
    message = "The document data is missing or empty"


class StructureInvalid(LitewriteError):
    message = "The document does not fit the rules of its collection"


class FileMissing(LitewriteError):
    message = "No file was sent"


class FileTypeUnsupported(LitewriteError):
    message = "Files of this type are not accepted here"


class FileTooLarge(LitewriteError):
    message = "The file is larger than this server allows"


class FileBroken(LitewriteError):
    message = "The upload is broken"


class EmailTaken(LitewriteError):
    """The address belongs to another user and the dialect reports it as a bad value rather than a conflict."""

    message = "This e-mail address is already in use"


class UserEmailTaken(EmailTaken):
    """The same for an address that a server gives to one of its users, perhaps the one it has already."""


class LoginStateInvalid(LitewriteError):
    """The `state` of a login at a provider is none that this server gave out to this browser, or it was used."""

    message = "This login was not begun here: begin it again"


class SuccessUrlInvalid(LitewriteError):
    """The page a login was to end on is no longer one of the project's."""

    message = "The success URL is no URL of the project"


class FailureUrlInvalid(LitewriteError):
    message = "The failure URL is no URL of the project"


class ProviderUserMissing(LitewriteError):
    message = "The login provider told no id of the user"


class RouteNotFound(LitewriteError):
    message = "Not Found"


# The caller may not


class ScopeMissing(LitewriteError):
    """The caller lacks the scope of an endpoint, or presented a key that is none of the project's."""

    message = "Missing scope"


class AccessForbidden(LitewriteError):
    message = "This project is out of reach for the caller"


class OriginUnknown(LitewriteError):
    message = "Invalid Origin"


class JwtInvalid(LitewriteError):
    message = "The JSON Web Token is malformed, wrongly signed or expired"


class Unauthorized(LitewriteError):
    message = "The current user is not allowed to do this"


class InvalidCredentials(LitewriteError):
    message = "Invalid credentials"


class InvalidToken(LitewriteError):
    message = "The secret is wrong, expired or was used already"


class InvitationSecretInvalid(LitewriteError):
    message = "The secret is not that of the invitation"


class InvitationMismatch(LitewriteError):
    message = "The invitation is for another user"


class UserBlocked(LitewriteError):
    message = "Invalid credentials: the user is blocked"


class PasswordResetRequired(LitewriteError):
    message = "The current user has to reset its password"


class SessionExists(LitewriteError):
    message = "An anonymous user cannot be made while a user is logged in"


class AnonymousConsoleProhibited(LitewriteError):
    message = "Anonymous users are not possible in the console"


class RegistrationClosed(LitewriteError):
    message = "Sign-up to the console needs the one-time token that the server prints, or litewrite admins create"


class SessionRequired(LitewriteError):
    """A call needs a session of its own (a JWT or a key will not do)."""

    message = "No valid session: this call needs a session, not a JWT"


# The thing is missing, or not readable for the caller (both look alike)


class NotFound(LitewriteError):
    message = "Not found"


class ProjectNotFound(NotFound):
    message = "Project not found"


class UserNotFound(NotFound):
    message = "User not found"


class SessionNotFound(NotFound):
    message = "Session not found"


class TeamNotFound(NotFound):
    message = "Team not found"


class MembershipNotFound(NotFound):
    message = "Membership not found"


class InvitationNotFound(NotFound):
    """There is no such membership, where the dialect speaks of invitations."""

    message = "Invitation not found"


class MembershipMismatch(NotFound):
    message = "The membership belongs to another team"


class CollectionNotFound(NotFound):
    message = "Collection not found"


class DocumentNotFound(NotFound):
    message = "Document not found"


class FileNotFound(NotFound):
    message = "File not found"


class FunctionNotFound(NotFound):
    message = "Function not found"


class DeploymentNotFound(NotFound):
    message = "Tag not found: upload one and make it the active one"


class ExecutionNotFound(NotFound):
    message = "Execution not found"


class KeyNotFound(NotFound):
    message = "Key not found"


class MailNotFound(NotFound):
    message = "There is no such mail"


class PlatformNotFound(NotFound):
    message = "Platform not found"


class WebhookNotFound(NotFound):
    message = "Webhook not found"


class AvatarNotFound(NotFound):
    message = "Avatar not found"


class RemoteImageNotFound(AvatarNotFound):
    message = "There is no picture at this URL"


class RemotePageFailed(AvatarNotFound):
    message = "The page at this URL cannot be fetched"


class SiteIconNotFound(AvatarNotFound):
    message = "The site has no icon that can be shown"


# Conflicts and limits


class UserExists(LitewriteError):
    message = "A user with this e-mail address exists already"


class MembershipExists(LitewriteError):
    message = "The user is a member of the team or has been invited already"


class ProjectExists(LitewriteError):
    message = "A project with this id exists already"


class PasswordMismatch(LitewriteError):
    message = "The two passwords differ"


class UserCountExceeded(LitewriteError):
    message = "The project has reached its limit of users"


class AuthMethodDisabled(LitewriteError):
    message = "This way of logging in is switched off for the project"


class ProviderDisabled(LitewriteError):
    message = "This login provider has no app id and secret in the settings of the project"


class ProviderUnsupported(LitewriteError):
    message = "This login provider is not served here"


class RateLimitExceeded(LitewriteError):
    message = "Too many requests: try again when the window of X-RateLimit-Reset has ended"


class MailDisabled(LitewriteError):
    message = "Mail is switched off on this server"


class FunctionsDisabled(LitewriteError):
    message = "Functions are switched off on this server: start it with --functions on"


# The server cannot now


class Overloaded(LitewriteError):
    message = "The server has more work waiting than it accepts: try again shortly"


class DeadlineExceeded(LitewriteError):
    message = "The query took longer than this server allows: narrow it with filters"


class StorageFull(LitewriteError):
    message = "The disk of the server is full"


class DatabaseUnavailable(LitewriteError):
    message = "The database cannot be used"


class StorageUnavailable(LitewriteError):
    message = "The folder of the files cannot be read or written"


class ProviderFailed(LitewriteError):
    """A login provider could not be reached, refused, or answered with something else than it should."""

    message = "The login provider failed"
