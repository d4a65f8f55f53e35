"""Entra's errors: an OAuth word, an AADSTS number, and a text, as the sign-in logs and SDKs know them.

Numbers and texts follow Microsoft's "Microsoft Entra authentication and authorization error codes".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(eq=False)
class EntraError(Exception):
    """One refusal. `code` is the AADSTS number."""

    status: int
    error: str
    code: int
    message: str

    def __str__(self) -> str:
        return f"{self.error}: AADSTS{self.code}: {self.message}"

    def body(self, *, trace_id: str, correlation_id: str, wall: float, base: str) -> dict[str, Any]:
        """The JSON body; `wall` are real epoch seconds, `base` is the authority as the client spelled it."""
        stamp = f"{datetime.fromtimestamp(wall, UTC):%Y-%m-%d %H:%M:%SZ}"
        return {
            "error": self.error,
            "error_description": f"AADSTS{self.code}: {self.message}\r\nTrace ID: {trace_id}\r\n"
            f"Correlation ID: {correlation_id}\r\nTimestamp: {stamp}",
            "error_codes": [self.code],
            "timestamp": stamp,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
            "error_uri": f"{base}/error?code={self.code}",
        }


def tenant_not_found(tenant: str, *, metadata: bool = False) -> EntraError:
    """The path names a tenant that is not ours."""
    return EntraError(
        400,
        "invalid_tenant" if metadata else "invalid_request",
        90002,
        f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing "
        "into the correct cloud. Check with your subscription administrator, this may happen if there are "
        "no active subscriptions for the tenant.",
    )


def no_tenant_information() -> EntraError:
    """An application signed in at ``common`` or ``organizations``."""
    return EntraError(
        400,
        "invalid_request",
        50059,
        "No tenant-identifying information found in either the request or implied by any provided "
        "credentials.",
    )


def missing_parameter(name: str) -> EntraError:
    """The body lacks a parameter."""
    return EntraError(
        400, "invalid_request", 900144, f"The request body must contain the following parameter: '{name}'."
    )


def wrong_method(method: str) -> EntraError:
    """An endpoint was asked with another verb than it takes."""
    return EntraError(
        400,
        "invalid_request",
        900561,
        f"The endpoint only accepts POST, OPTIONS requests. Received a {method} request.",
    )


def unsupported_grant(grant: str) -> EntraError:
    """The grant type is not one of ours."""
    return EntraError(
        400, "unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{grant}'."
    )


def unknown_application(app_id: str, tenant_id: str) -> EntraError:
    """No service principal has this application id, or it was deleted."""
    return EntraError(
        400,
        "unauthorized_client",
        700016,
        f"Application with identifier '{app_id}' was not found in the directory '{tenant_id}'. This can "
        "happen if the application has not been installed by the administrator of the tenant or consented "
        "to by any user in the tenant. You may have sent your authentication request to the wrong tenant.",
    )


def missing_credential() -> EntraError:
    """An application gave neither a secret nor an assertion."""
    return EntraError(
        401,
        "invalid_client",
        7000216,
        "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant "
        "type.",
    )


def wrong_secret(app_id: str) -> EntraError:
    """The secret is none of the application's."""
    return EntraError(
        401,
        "invalid_client",
        7000215,
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
        f"value, not the client secret ID, for a secret added to app '{app_id}'.",
    )


def expired_secret(app_id: str) -> EntraError:
    """The secret was the application's and has run out."""
    return EntraError(
        401,
        "invalid_client",
        7000222,
        f"The provided client secret keys for app '{app_id}' are expired. Visit the Azure portal to create "
        "new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials "
        "for added security: https://aka.ms/certCreds.",
    )


def invalid_assertion(reason: str) -> EntraError:
    """The client assertion is no JWT that can be read."""
    return EntraError(401, "invalid_client", 50027, f"Invalid JWT token. {reason}")


def assertion_key(reason: str, thumbprint: str, app_id: str) -> EntraError:
    """The assertion's key is unknown or has run out, or the signature is not its work."""
    return EntraError(
        401,
        "invalid_client",
        700027,
        f"Client assertion failed signature validation. [Reason - {reason}, Thumbprint of key used by "
        f"client: '{thumbprint}', Please visit the Azure Portal, Graph Explorer or directly use MS Graph to "
        f"see configured keys for app Id '{app_id}'.]",
    )


def assertion_times(now: str, start: str, end: str) -> EntraError:
    """The assertion is not yet or no longer valid."""
    return EntraError(
        401,
        "invalid_client",
        700024,
        f"Client assertion is not within its valid time range. Current time: {now}, assertion valid from "
        f"{start}, expiry time of assertion {end}.",
    )


def assertion_audience() -> EntraError:
    """The assertion was made for another endpoint."""
    return EntraError(
        401,
        "invalid_client",
        50012,
        "Client assertion audience claim does not match Realm issuer. The audience must be this token "
        "endpoint.",
    )


def assertion_subject() -> EntraError:
    """The assertion speaks for another application."""
    return EntraError(
        401,
        "invalid_client",
        700021,
        "Client assertion application identifier doesn't match 'client_id' parameter.",
    )


def scope_without_default(scope: str) -> EntraError:
    """An application asked for anything but ``<resource>/.default``."""
    return EntraError(
        400,
        "invalid_scope",
        1002012,
        f"The provided value for scope {scope} is not valid. Client credential flows must have a scope "
        "value with /.default suffixed to the resource identifier (application ID URI).",
    )


def invalid_scope(scope: str) -> EntraError:
    """A scope that cannot be read."""
    return EntraError(
        400,
        "invalid_scope",
        70011,
        f"The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid.",
    )


def unknown_resource(resource: str, tenant_id: str) -> EntraError:
    """Nobody answers to this resource in the tenant."""
    return EntraError(
        400,
        "invalid_resource",
        500011,
        f"The resource principal named {resource} was not found in the tenant named {tenant_id}. This can "
        "happen if the application has not been installed by the administrator of the tenant or consented "
        "to by any user in the tenant. You might have sent your authentication request to the wrong tenant.",
    )


def authorization_pending() -> EntraError:
    """Nobody has entered the code yet."""
    return EntraError(
        400,
        "authorization_pending",
        70016,
        "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
    )


def device_code_expired() -> EntraError:
    """The code was not entered in time."""
    return EntraError(
        400,
        "expired_token",
        70020,
        "The provided value for the input parameter 'device_code' is not valid. This device code has "
        "expired.",
    )


def device_code_unknown() -> EntraError:
    """The code was never issued, or not to this application."""
    return EntraError(
        400,
        "bad_verification_code",
        70018,
        "Invalid verification code due to User typing in wrong user code for device code flow, or the "
        "device code is not one that was issued to this application.",
    )


def device_code_declined() -> EntraError:
    """The person said no."""
    return EntraError(400, "authorization_declined", 65004, "User declined to consent to access the app.")


def redeemed() -> EntraError:
    """A code was used a second time."""
    return EntraError(
        400,
        "invalid_grant",
        54005,
        "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an "
        "existing refresh token.",
    )


def invalid_refresh_token() -> EntraError:
    """The refresh token is unknown, run out, or another application's."""
    return EntraError(
        400,
        "invalid_grant",
        700082,
        "The refresh token has expired, was revoked, or was not issued to this application.",
    )


def unknown_user(name: str, tenant_id: str) -> EntraError:
    """The person was deleted."""
    return EntraError(
        400,
        "invalid_grant",
        50034,
        f"The user account {name} does not exist in the {tenant_id} directory. To sign into this "
        "application, the account must be added to the directory.",
    )


def unknown_instance() -> EntraError:
    """Instance discovery was asked about a host that is no authority."""
    return EntraError(400, "invalid_instance", 50049, "Unknown or invalid instance.")
