"""Which processes are alive, and what those that are not leave behind."""

import os
from pathlib import Path

from filelock import FileLock

from storage.owners import hold_ownership

LONG_AGO = (1, 1)


def test_a_process_is_alive_while_it_holds_its_lock(tmp_path: Path) -> None:
    with hold_ownership(tmp_path) as first:
        with hold_ownership(tmp_path) as second:
            assert first.is_alive(first.id)
            assert first.is_alive(second.id)
        assert not first.is_alive(second.id)
    assert list(tmp_path.iterdir()) == []


def test_lock_files_of_the_dead_are_forgotten_and_others_stay(tmp_path: Path) -> None:
    dead, new, held = (tmp_path / f"{character * 32}.lock" for character in "abc")
    token = tmp_path / "token-acme-prod.lock"
    for path in (dead, new, held, token):
        path.touch()
    for path in (dead, held, token):
        os.utime(path, LONG_AGO)
    with hold_ownership(tmp_path) as owner, FileLock(held):
        os.utime(held, LONG_AGO)
        owner.forget_the_dead()
        assert not dead.exists()
        assert new.exists()
        assert held.exists()
        assert token.exists()
