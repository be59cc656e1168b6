"""Authlib (https://authlib.org) as an authorization server with dynamic client registration and its management.

Its metadata is where RFC 8414 has it for an issuer with a path; there is no OpenID Connect. Prints its issuer when it
is ready, and ends with its standard input. Arguments: the initial access token, then the scopes. `/clients` tells how
many clients there are.
"""

import logging
import os
import secrets
import sys
import threading
import time

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants, list_to_scope, scope_to_list
from authlib.oauth2.rfc7591 import ClientRegistrationEndpoint
from authlib.oauth2.rfc7592 import ClientConfigurationEndpoint
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from flask import Flask, jsonify
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server

INITIAL_ACCESS_TOKEN, *SCOPES = sys.argv[1:]
KEY = RSAKey.generate_key(2048, {"kid": "peer", "use": "sig", "alg": "RS256"})
CLIENTS = {}

app = Flask(__name__)
http = make_server("127.0.0.1", 0, app, threaded=True)
ORIGIN = f"http://127.0.0.1:{http.server_port}"
ISSUER = f"{ORIGIN}/tenants/one"
METADATA = {
    "issuer": ISSUER,
    "token_endpoint": f"{ISSUER}/token",
    "registration_endpoint": f"{ISSUER}/register",
    "jwks_uri": f"{ISSUER}/keys",
    "scopes_supported": SCOPES,
    "response_types_supported": ["code"],
    "grant_types_supported": ["client_credentials"],
    "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
}


class Client(ClientMixin):
    """A client, in memory."""

    def __init__(self, client_info, client_metadata):
        self.client_info = client_info
        self.client_metadata = client_metadata
        self.registration_access_token = secrets.token_urlsafe(24)

    def get_client_id(self):
        return self.client_info["client_id"]

    def get_allowed_scope(self, scope):
        allowed = scope_to_list(self.client_metadata.get("scope", ""))
        return list_to_scope([one for one in scope_to_list(scope or "") if one in allowed])

    def check_client_secret(self, client_secret):
        return secrets.compare_digest(self.client_info["client_secret"], client_secret)

    def check_endpoint_auth_method(self, method, endpoint):
        return method == self.client_metadata["token_endpoint_auth_method"]

    def check_grant_type(self, grant_type):
        return grant_type in self.client_metadata.get("grant_types", [])


class InitialAccessToken(TokenMixin):
    """The one that was given."""


class RegistrationAccessToken(TokenMixin):
    """Of one client."""

    def __init__(self, client):
        self.client = client

    def check_client(self, client):
        return client is self.client


def bearer(request):
    """The token of a request."""
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


class Registration(ClientRegistrationEndpoint):
    """RFC 7591."""

    def authenticate_token(self, request):
        return InitialAccessToken() if bearer(request) == INITIAL_ACCESS_TOKEN else None

    def get_server_metadata(self):
        return METADATA

    def save_client(self, client_info, client_metadata, request):
        client = Client(client_info, client_metadata)
        CLIENTS[client.get_client_id()] = client
        return client

    def generate_client_registration_info(self, client, request):
        return registration_info(client)


class Configuration(ClientConfigurationEndpoint):
    """RFC 7592."""

    def authenticate_token(self, request):
        for client in CLIENTS.values():
            if bearer(request) == client.registration_access_token:
                return RegistrationAccessToken(client)
        return None

    def authenticate_client(self, request):
        return CLIENTS.get(request.uri.rsplit("/", 1)[-1])

    def revoke_access_token(self, request, token):
        pass

    def check_permission(self, client, request):
        return True

    def delete_client(self, client, request):
        del CLIENTS[client.get_client_id()]

    def update_client(self, client, client_metadata, request):
        client.client_metadata = client_metadata
        client.registration_access_token = secrets.token_urlsafe(24)
        return client

    def generate_client_registration_info(self, client, request):
        return registration_info(client)

    def get_server_metadata(self):
        return METADATA


def registration_info(client):
    """What RFC 7592 section 3 adds to an answer."""
    return {
        "registration_client_uri": f"{ISSUER}/register/{client.get_client_id()}",
        "registration_access_token": client.registration_access_token,
    }


class Tokens(JWTBearerTokenGenerator):
    """RFC 9068."""

    def get_jwks(self):
        return KeySet([KEY])


class ClientCredentials(grants.ClientCredentialsGrant):
    """RFC 6749 section 4.4."""

    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]


server = AuthorizationServer(app, CLIENTS.get, lambda token, request: None)
server.scopes_supported = SCOPES
server.register_token_generator("default", Tokens(issuer=ISSUER))
server.register_grant(ClientCredentials)
server.register_endpoint(Registration)
server.register_endpoint(Configuration)


@app.get("/.well-known/oauth-authorization-server/tenants/one")
def metadata():
    return jsonify(METADATA)


@app.get("/tenants/one/keys")
def keys():
    return jsonify(KeySet([KEY]).as_dict(private=False))


@app.post("/tenants/one/token")
def token():
    return server.create_token_response()


@app.post("/tenants/one/register")
def register():
    return server.create_endpoint_response("client_registration")


@app.route("/tenants/one/register/<client_id>", methods=["GET", "PUT", "DELETE"])
def configure(client_id):
    return server.create_endpoint_response("client_configuration")


@app.get("/clients")
def clients():
    return str(len(CLIENTS))


def end_with_input():
    """Whoever started this is gone."""
    sys.stdin.read()
    os._exit(0)


logging.getLogger("werkzeug").setLevel(logging.ERROR)
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
threading.Thread(target=end_with_input, daemon=True).start()
print(ISSUER, flush=True)
http.serve_forever()
