"""AWS signature version 4, by botocore's own signer."""

from dataclasses import replace
from importlib import import_module
from typing import Any

from tools.errors import ErrorKind, RunError
from tools.http import OutgoingRequest
from tools.system import AwsSigV4Auth

__all__ = ["with_aws_signature"]


def with_aws_signature(
    request: OutgoingRequest,
    auth: AwsSigV4Auth,
    access_key_id: str,
    secret_access_key: str,
    session_token: str | None,
) -> OutgoingRequest:
    """The request, signed as it stands. Raises `RunError` where botocore is not installed."""
    try:
        # botocore has no types; it is an extra, so it may not be there.
        signers: Any = import_module("botocore.auth")
        requests: Any = import_module("botocore.awsrequest")
        credentials: Any = import_module("botocore.credentials")
    except ImportError:
        raise RunError(
            ErrorKind.CREDENTIAL,
            "aws_sigv4 needs the package botocore",
            hint="install callslip with its extra: callslip[aws]",
        ) from None
    signed = requests.AWSRequest(
        method=request.method,
        url=request.url,
        data=request.body or b"",
        headers={name: value for name, value in request.headers if name.lower() != "user-agent"},
    )
    signer = signers.S3SigV4Auth if auth.service == "s3" else signers.SigV4Auth
    keys = credentials.Credentials(access_key_id, secret_access_key, session_token)
    signer(keys, auth.service, auth.region).add_auth(signed)
    headers = [(str(name), str(value)) for name, value in signed.headers.items()]
    names = {name.lower() for name, _ in headers}
    kept = [(name, value) for name, value in request.headers if name.lower() not in names]
    return replace(
        request,
        headers=[*kept, *headers],
        credential_headers=request.credential_headers | {"authorization", "x-amz-security-token"},
    )
