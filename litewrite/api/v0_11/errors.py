"""How every kind of error looks on the wire: status, identifier and body."""

from __future__ import annotations

from typing import Any

from litewrite import errors

SERVER_ERROR = (500, "general_server_error")

TABLE: dict[type[errors.LitewriteError], tuple[int, str]] = {
    errors.ArgumentInvalid: (400, "general_argument_invalid"),
    errors.ProjectUnknown: (400, "project_unknown"),
    errors.HostUnknown: (400, "general_argument_invalid"),
    errors.QueryInvalid: (400, "general_query_invalid"),
    errors.PayloadMissing: (400, "document_missing_payload"),
    errors.StructureInvalid: (400, "document_invalid_structure"),
    errors.FileMissing: (400, "storage_file_empty"),
    errors.FileTypeUnsupported: (400, "storage_file_type_unsupported"),
    errors.FileTooLarge: (400, "storage_invalid_file_size"),
    errors.FileBroken: (403, "storage_invalid_file"),
    errors.EmailTaken: (400, "user_already_exists"),
    errors.UserEmailTaken: (400, "user_email_already_exists"),
    errors.LoginStateInvalid: (400, "general_argument_invalid"),
    errors.SuccessUrlInvalid: (400, "project_invalid_success_url"),
    errors.FailureUrlInvalid: (400, "project_invalid_failure_url"),
    errors.ProviderUserMissing: (400, "project_missing_user_id"),
    errors.RouteNotFound: (404, "general_route_not_found"),
    errors.ScopeMissing: (401, "general_unauthorized_scope"),
    errors.AccessForbidden: (401, "general_access_forbidden"),
    errors.OriginUnknown: (403, "general_unknown_origin"),
    errors.JwtInvalid: (401, "user_jwt_invalid"),
    errors.Unauthorized: (401, "user_unauthorized"),
    errors.InvalidCredentials: (401, "user_invalid_credentials"),
    errors.InvalidToken: (401, "user_invalid_token"),
    errors.InvitationSecretInvalid: (401, "team_invalid_secret"),
    errors.InvitationMismatch: (401, "team_invite_mismatch"),
    errors.UserBlocked: (401, "user_blocked"),
    errors.PasswordResetRequired: (412, "user_password_reset_required"),
    errors.SessionExists: (401, "user_session_already_exists"),
    errors.AnonymousConsoleProhibited: (401, "user_anonymous_console_prohibited"),
    errors.RegistrationClosed: (401, "general_unauthorized_scope"),
    errors.SessionRequired: (401, "user_session_not_found"),
    errors.NotFound: (404, "general_not_found"),
    errors.ProjectNotFound: (404, "project_not_found"),
    errors.UserNotFound: (404, "user_not_found"),
    errors.SessionNotFound: (404, "user_session_not_found"),
    errors.TeamNotFound: (404, "team_not_found"),
    errors.MembershipNotFound: (404, "membership_not_found"),
    errors.InvitationNotFound: (404, "team_invite_not_found"),
    errors.MembershipMismatch: (404, "team_membership_mismatch"),
    errors.CollectionNotFound: (404, "collection_not_found"),
    errors.DocumentNotFound: (404, "document_not_found"),
    errors.FileNotFound: (404, "storage_file_not_found"),
    errors.FunctionNotFound: (404, "function_not_found"),
    errors.DeploymentNotFound: (404, "deployment_not_found"),
    errors.ExecutionNotFound: (404, "execution_not_found"),
    errors.KeyNotFound: (404, "key_not_found"),
    errors.MailNotFound: (404, "mail_not_found"),
    errors.PlatformNotFound: (404, "platform_not_found"),
    errors.WebhookNotFound: (404, "webhook_not_found"),
    errors.AvatarNotFound: (404, "avatar_not_found"),
    errors.RemoteImageNotFound: (404, "avatar_image_not_found"),
    errors.RemotePageFailed: (404, "avatar_remote_url_failed"),
    errors.SiteIconNotFound: (404, "avatar_icon_not_found"),
    errors.UserExists: (409, "user_already_exists"),
    errors.MembershipExists: (409, "team_invite_already_exists"),
    errors.ProjectExists: (409, "project_already_exists"),
    errors.PasswordMismatch: (400, "user_password_mismatch"),
    errors.UserCountExceeded: (501, "user_count_exceeded"),
    errors.AuthMethodDisabled: (501, "user_auth_method_unsupported"),
    errors.ProviderDisabled: (412, "project_provider_disabled"),
    errors.ProviderUnsupported: (501, "project_provider_unsupported"),
    errors.RateLimitExceeded: (429, "general_rate_limit_exceeded"),
    errors.MailDisabled: (503, "general_smtp_disabled"),
    errors.FunctionsDisabled: (503, "general_functions_disabled"),
    errors.Overloaded: (503, "general_server_overloaded"),
    errors.DeadlineExceeded: (503, "general_query_timeout"),
    errors.StorageFull: (503, "general_storage_full"),
    errors.DatabaseUnavailable: SERVER_ERROR,
    errors.StorageUnavailable: SERVER_ERROR,
    errors.ProviderFailed: SERVER_ERROR,
}


class ErrorRenderer:
    """Makes the error body. `version` is the version string that the server reports."""

    def __init__(self, version: str) -> None:
        self._version = version

    def __call__(self, error: BaseException) -> tuple[int, dict[str, Any]]:
        status, identifier = SERVER_ERROR
        message = "Server Error"
        if isinstance(error, errors.LitewriteError):
            for kind in type(error).__mro__:
                if kind in TABLE:
                    status, identifier = TABLE[kind]
                    break
            if status != 500:
                # What a message quotes from a request may hold half surrogate pairs, which no JSON can.
                message = str(error).encode(errors="replace").decode()
        return status, {"message": message, "code": status, "version": self._version, "type": identifier}
