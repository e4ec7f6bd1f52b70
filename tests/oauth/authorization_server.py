"""An authorization server that is not ours: Authlib's, behind Flask, in a process of its own.

It speaks at the paths of GitLab, knows one client, insists on PKCE with S256 and on the exact redirect URL, and takes a
code once. `python -W ignore authorization_server.py CLIENT_ID CLIENT_SECRET` prints its port, reads the redirect URL of
the client as one line, and serves until its input ends. It is never imported: its libraries warn where tests must not.
"""

import sys
import threading
import time

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector, current_token
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc6749.models import AuthorizationCodeMixin
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7636 import CodeChallenge
from flask import Flask, jsonify, request
from werkzeug.serving import make_server

PEOPLE = {
    "ada": {"id": 7, "name": "Ada Example", "email": "ada@example.com", "confirmed_at": "2020-01-01T00:00:00Z"},
    "eve": {"id": 8, "name": "Eve Example", "email": "ada@example.com", "confirmed_at": None},
}


class Client(ClientMixin):
    def __init__(self, client_id, client_secret):
        self.client_id, self.client_secret, self.redirect_uri = client_id, client_secret, ""

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return self.redirect_uri

    def get_allowed_scope(self, scope):
        return " ".join(word for word in (scope or "").split() if word in ("read_user", "openid"))

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri == self.redirect_uri

    def check_client_secret(self, client_secret):
        return client_secret == self.client_secret

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_post"

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return grant_type == "authorization_code"


class Code(AuthorizationCodeMixin):
    def __init__(self, code, user, asked):
        self.code, self.user = code, user
        self.redirect_uri, self.scope = asked.payload.redirect_uri, asked.payload.scope
        self.code_challenge = asked.payload.data.get("code_challenge")
        self.code_challenge_method = asked.payload.data.get("code_challenge_method")

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope


class Token(TokenMixin):
    def __init__(self, user, issued):
        self.user, self.scope, self.issued_at = user, issued.get("scope", ""), time.time()

    def get_scope(self):
        return self.scope

    def get_expires_in(self):
        return 3_600

    def is_expired(self):
        return False

    def is_revoked(self):
        return False


def make_app(client):
    app, codes, tokens = Flask(__name__), {}, {}

    class CodeGrant(grants.AuthorizationCodeGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_post"]

        def save_authorization_code(self, code, request):
            codes[code] = Code(code, request.user, request)

        def query_authorization_code(self, code, client):
            return codes.get(code)

        def delete_authorization_code(self, authorization_code):
            del codes[authorization_code.code]

        def authenticate_user(self, authorization_code):
            return authorization_code.user

    def save_token(token, request):
        tokens[token["access_token"]] = Token(request.user, token)

    server = AuthorizationServer(
        app, query_client=lambda client_id: client if client_id == client.client_id else None, save_token=save_token
    )
    server.register_grant(CodeGrant, [CodeChallenge(required=True)])

    class Validator(BearerTokenValidator):
        def authenticate_token(self, token_string):
            return tokens.get(token_string)

    protected = ResourceProtector()
    protected.register_token_validator(Validator())

    @app.route("/oauth/authorize", methods=["GET", "POST"])
    def authorize():
        if request.method == "GET":
            server.get_consent_grant(end_user=None)
            return "<form method=post>...</form>"
        grant_user = request.form.get("user")  # nobody when the person declines
        return server.create_authorization_response(grant_user=grant_user)

    @app.post("/oauth/token")
    def token():
        return server.create_token_response()

    @app.get("/api/v4/user")
    @protected("read_user")
    def user():
        return jsonify(PEOPLE[current_token.user])

    return app


if __name__ == "__main__":
    client = Client(*sys.argv[1:3])
    http = make_server("127.0.0.1", 0, make_app(client), threaded=True)
    print(http.server_port, flush=True)
    client.redirect_uri = sys.stdin.readline().strip()
    threading.Thread(target=http.serve_forever, daemon=True).start()
    sys.stdin.read()
    http.shutdown()
