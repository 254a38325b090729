"""Which key is used, and that moving or replacing it loses nothing wherever it is cut off."""

from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import anyio
import keyring
import pytest

from storage import keys as module
from storage import systems as systems_module
from storage.database import Database
from storage.keys import KeyKeeper, KeyPlaces
from storage.opening import open_database
from storage.os_keyring import KeyringProblemError, OsKeyring
from storage.secrets import KeyProblemError, new_master_key, read_key_file, write_key_file
from storage.systems import SystemStore
from tests.keyring_backends import FileKeyring, ForgetfulKeyring, HangingKeyring, RefusingKeyring

ACME = {"id": "acme", "url": "https://acme.test"}
SECRETS = {"token": "correct-horse-battery", "pin": "12345678"}


class CutOffError(Exception):
    """The process ends here."""


@pytest.fixture(autouse=True)
def os_keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[FileKeyring]:
    monkeypatch.setenv("CALLSLIP_TEST_KEYRING", str(tmp_path / "keyring.json"))
    before = keyring.get_keyring()
    backend = FileKeyring()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


@pytest.fixture
def places(tmp_path: Path) -> KeyPlaces:
    return KeyPlaces(None, tmp_path / "config" / "master.key")


@pytest.fixture
async def store(database: Database, places: KeyPlaces) -> SystemStore:
    store = SystemStore(database, KeyKeeper(places))
    await store.put(ACME, SECRETS)
    return store


@pytest.fixture
async def moved(store: SystemStore, database: Database, places: KeyPlaces) -> SystemStore:
    await store.use_keyring()
    return SystemStore(database, KeyKeeper(places))


@pytest.fixture
async def another_process(places: KeyPlaces, tmp_path: Path) -> AsyncGenerator[SystemStore]:
    async with open_database(tmp_path / "callslip.db") as database:
        yield SystemStore(database, KeyKeeper(places))


async def check_opens(store: SystemStore) -> None:
    assert await store.secrets("acme", "prod") == SECRETS


async def test_moving_the_key_leaves_no_file_and_everything_opens(
    moved: SystemStore, store: SystemStore, places: KeyPlaces, os_keyring: FileKeyring
) -> None:
    await check_opens(moved)
    await check_opens(store)
    assert not places.key_file.exists()
    assert len(os_keyring.secrets()) == 1
    mark = places.mark.read_text()
    assert list(os_keyring.secrets()) == [f"callslip {mark}"]
    assert mark not in os_keyring.secrets().values()


async def test_moving_it_twice_is_moving_it_once(
    moved: SystemStore, os_keyring: FileKeyring
) -> None:
    await moved.use_keyring()
    await check_opens(moved)
    assert len(os_keyring.secrets()) == 1


async def test_a_home_without_a_key_gets_its_first_one_in_the_keyring(
    database: Database, places: KeyPlaces, os_keyring: FileKeyring
) -> None:
    store = SystemStore(database, KeyKeeper(places))
    await store.use_keyring()
    await store.put(ACME, SECRETS)
    await check_opens(store)
    assert not places.key_file.exists()
    assert len(os_keyring.secrets()) == 1


async def test_a_key_file_beside_the_mark_is_not_read(
    moved: SystemStore, places: KeyPlaces
) -> None:
    write_key_file(new_master_key("another"), places.key_file)
    await check_opens(moved)
    await moved.use_keyring()
    assert places.key_file.exists()


async def test_the_variable_comes_before_the_keyring(
    moved: SystemStore, database: Database, places: KeyPlaces
) -> None:
    other = SystemStore(database, KeyKeeper(KeyPlaces("A" * 43 + "=", places.key_file)))
    with pytest.raises(KeyProblemError, match="CALLSLIP_MASTER_KEY"):
        await other.secrets("acme", "prod")
    with pytest.raises(KeyProblemError, match="unset it"):
        await other.use_keyring()


async def test_a_rotation_replaces_the_entry(
    moved: SystemStore, another_process: SystemStore, places: KeyPlaces, os_keyring: FileKeyring
) -> None:
    await check_opens(another_process)
    before = os_keyring.secrets()
    assert await moved.rotate_key() == 2
    after = os_keyring.secrets()
    assert len(after) == 1
    assert not set(after.values()) & set(before.values())
    await check_opens(moved)
    await check_opens(another_process)
    assert not places.key_file.exists()


@pytest.mark.parametrize("moment", ["the key is kept", "inside", "it is committed", "marked"])
async def test_a_rotation_in_the_keyring_that_is_cut_off_loses_nothing(
    moment: str,
    moved: SystemStore,
    another_process: SystemStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cut_off(*_: Any) -> Any:
        raise CutOffError

    with monkeypatch.context() as patch:
        if moment == "the key is kept":
            patch.setattr(systems_module, "_reseal", cut_off)
        elif moment == "inside":
            reseal = systems_module._reseal  # pyright: ignore[reportPrivateUsage]
            patch.setattr(systems_module, "_reseal", _then(reseal, cut_off))
        elif moment == "it is committed":
            patch.setattr(module, "replace_file", cut_off)
        else:
            patch.setattr(OsKeyring, "forget", cut_off)
        with pytest.raises(CutOffError):
            await moved.rotate_key()
    await check_opens(moved)
    await check_opens(another_process)
    await moved.set_credential("acme", "prod", "pin", SECRETS["pin"])
    await moved.rotate_key()
    await check_opens(moved)
    await check_opens(another_process)


@pytest.mark.parametrize("moment", ["the key is kept", "marked"])
async def test_a_move_that_is_cut_off_loses_nothing(
    moment: str, store: SystemStore, places: KeyPlaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: Any, **__: Any) -> Any:
        raise CutOffError

    with monkeypatch.context() as patch:
        if moment == "marked":
            patch.setattr(Path, "unlink", cut_off)
        else:
            patch.setattr(module, "replace_file", cut_off)
        with pytest.raises(CutOffError):
            await store.use_keyring()
    await check_opens(store)
    await store.use_keyring()
    await check_opens(store)
    assert not places.key_file.exists()


async def test_a_server_that_runs_while_the_key_is_moved_goes_on(
    store: SystemStore, another_process: SystemStore
) -> None:
    async def read() -> None:
        for number in range(20):
            await check_opens(another_process)
            await another_process.set_credential("acme", "prod", "late", f"late-{number}-value")
            await another_process.unset_credential("acme", "prod", "late")

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await store.use_keyring()
    await check_opens(another_process)


async def test_an_entry_that_is_gone_is_said_with_its_place(
    moved: SystemStore, os_keyring: FileKeyring
) -> None:
    os_keyring.path.unlink()
    with pytest.raises(KeyProblemError, match="none in the OS keyring"):
        await moved.secrets("acme", "prod")
    with pytest.raises(KeyProblemError):
        await moved.set_credential("acme", "prod", "pin", "another-pin")
    await moved.delete("acme", "prod")
    await moved.put(ACME, SECRETS)
    await check_opens(moved)
    assert len(os_keyring.secrets()) == 1


@pytest.mark.parametrize("backend", [RefusingKeyring(), ForgetfulKeyring()])
async def test_a_keyring_that_does_not_take_the_key_leaves_it_in_its_file(
    backend: FileKeyring, store: SystemStore, places: KeyPlaces
) -> None:
    key = read_key_file(places.key_file)
    assert key is not None
    keyring.set_keyring(backend)
    with pytest.raises(KeyringProblemError, match="the OS keyring") as caught:
        await store.use_keyring()
    assert "CALLSLIP_MASTER_KEY" in str(caught.value) or "give back" in str(caught.value)
    assert not places.mark.exists()
    await check_opens(store)


async def test_a_locked_keyring_is_said_without_what_it_holds(
    moved: SystemStore, os_keyring: FileKeyring
) -> None:
    secret = next(iter(os_keyring.secrets().values()))
    keyring.set_keyring(RefusingKeyring())
    with pytest.raises(KeyringProblemError, match="KeyringLocked") as caught:
        await moved.secrets("acme", "prod")
    assert secret not in str(caught.value)


async def test_a_keyring_that_hangs_is_given_up_and_asked_by_one_thread(
    moved: SystemStore, database: Database, places: KeyPlaces
) -> None:
    backend = HangingKeyring()
    keyring.set_keyring(backend)
    store = SystemStore(database, KeyKeeper(places, OsKeyring(read_seconds=0.05)))

    async def ask() -> None:
        with pytest.raises(KeyringProblemError, match="did not answer within"):
            await store.secrets("acme", "prod")

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask)
    await ask()
    assert backend.calls == 1
    backend.go_on.set()
    patient = SystemStore(database, KeyKeeper(places))
    await check_opens(patient)


def _then(first: Any, second: Any) -> Any:
    def both(*given: Any) -> None:
        first(*given)
        second()

    return both
