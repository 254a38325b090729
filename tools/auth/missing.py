"""A credential that is not there, and the command that sets it."""

from tools.errors import ErrorKind, RunError
from tools.system import System

__all__ = ["missing_credential", "set_credential_command"]


def set_credential_command(system: System, name: str) -> str:
    """The command that sets a credential of a system."""
    environment = "" if system.environment == "prod" else f" --environment {system.environment}"
    return f"callslip systems set-credential {system.id} {name}{environment}"


def missing_credential(system: System, name: str) -> RunError:
    """The error that names the command which sets a credential."""
    return RunError(
        ErrorKind.CREDENTIAL,
        f"system {system.id} has no credential {name}",
        hint=set_credential_command(system, name),
    )
