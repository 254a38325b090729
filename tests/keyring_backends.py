"""Keyrings for the tests, loaded the way `keyring` loads any: a file, one that hangs, one that
refuses. Programs find them with PYTHON_KEYRING_BACKEND.
"""

import json
import os
import threading
from pathlib import Path

import keyring.errors
from keyring.backend import KeyringBackend

__all__ = ["FileKeyring", "ForgetfulKeyring", "HangingKeyring", "RefusingKeyring"]


class FileKeyring(KeyringBackend):
    """Keeps its secrets in the file that CALLSLIP_TEST_KEYRING names."""

    priority = 1  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]: as keyring documents

    @property
    def path(self) -> Path:
        return Path(os.environ["CALLSLIP_TEST_KEYRING"])

    def secrets(self) -> dict[str, str]:
        return json.loads(self.path.read_text()) if self.path.exists() else {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.secrets().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self.path.write_text(json.dumps(self.secrets() | {f"{service} {username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        left = self.secrets()
        del left[f"{service} {username}"]
        self.path.write_text(json.dumps(left))


class ForgetfulKeyring(FileKeyring):
    """Takes everything and keeps nothing."""

    def set_password(self, service: str, username: str, password: str) -> None:
        pass


class RefusingKeyring(FileKeyring):
    """A keyring that stays locked; its words hold the secret."""

    def get_password(self, service: str, username: str) -> str | None:
        raise keyring.errors.KeyringLocked(f"locked: {self.secrets()}")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise keyring.errors.PasswordSetError(f"not set: {password}")


class HangingKeyring(FileKeyring):
    """A keyring that waits for a person who never comes, unless a test lets it go on."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.calls = 0

    def get_password(self, service: str, username: str) -> str | None:
        self.calls += 1
        self.go_on.wait()
        return super().get_password(service, username)
