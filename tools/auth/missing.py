"""A credential that is not there, and the command that sets it."""

from tools.errors import ErrorKind, RunError
from tools.system import System

__all__ = ["missing_credential"]


def missing_credential(system: System, name: str) -> RunError:
    """The error that names the command which sets a credential."""
    environment = "" if system.environment == "prod" else f" --environment {system.environment}"
    return RunError(
        ErrorKind.CREDENTIAL,
        f"system {system.id} has no credential {name}",
        hint=f"callslip systems set-credential {system.id} {name}{environment}",
    )
