"""Stored systems: sealed credentials, and a key that can be replaced without losing one."""

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from storage import systems as module
from storage.database import Database
from storage.keys import KeyKeeper, KeyPlaces
from storage.opening import open_database
from storage.secrets import KeyProblemError, read_key_file
from storage.systems import SystemStore

SECRET = "correct-horse-battery"
ACME = {"id": "acme", "url": "https://acme.test"}
TOKEN: dict[str, Any] = {"accessToken": "at-0123456", "expiresAt": None, "refreshToken": "rt-0123"}


@pytest.fixture
def places(tmp_path: Path) -> KeyPlaces:
    return KeyPlaces(None, tmp_path / "config" / "master.key")


@pytest.fixture
def store(database: Database, places: KeyPlaces) -> SystemStore:
    return SystemStore(database, KeyKeeper(places))


def files_of(directory: Path) -> list[bytes]:
    return [path.read_bytes() for path in directory.rglob("*") if path.is_file()]


async def filled(store: SystemStore) -> None:
    await store.put(ACME, {"token": SECRET, "key": "another-secret"})
    await store.put_token("acme", "prod", TOKEN)


async def check_all_there(store: SystemStore) -> None:
    found = await store.secrets("acme", "prod")
    assert {**found, "late": None} == {"token": SECRET, "key": "another-secret", "late": None}
    assert await store.get_token("acme", "prod") == TOKEN


async def test_no_file_and_no_view_holds_a_value(store: SystemStore, tmp_path: Path) -> None:
    await filled(store)
    await check_all_there(store)
    stored = await store.get("acme", "prod")
    assert SECRET not in f"{stored} {stored and stored.wire()}"
    for content in files_of(tmp_path):
        assert SECRET.encode() not in content


async def test_a_row_moved_to_another_name_does_not_open(
    store: SystemStore, database: Database
) -> None:
    await filled(store)
    swap = "UPDATE credentials SET sealed = (SELECT sealed FROM credentials WHERE name = 'key')"
    await database.write(lambda connection: connection.execute(swap))
    with pytest.raises(KeyProblemError, match=r"acme\.prod\.token"):
        await store.secrets("acme", "prod")


async def test_a_rotation_seals_everything_with_another_key(
    store: SystemStore, places: KeyPlaces
) -> None:
    await filled(store)
    before = read_key_file(places.key_file)
    assert await store.rotate_key() == 3
    after = read_key_file(places.key_file)
    assert before is not None
    assert after is not None
    assert after.value != before.value
    await check_all_there(store)
    assert not places.key_file.with_name("master.key.next").exists()


@pytest.mark.parametrize("moment", ["before", "inside", "after"])
async def test_a_rotation_that_is_cut_off_loses_nothing(
    moment: str, store: SystemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(store)

    class CutOffError(Exception):
        pass

    def cut_off(*_: Any) -> Any:
        raise CutOffError

    with monkeypatch.context() as patch:
        if moment == "before":
            patch.setattr(module, "_reseal", cut_off)
        elif moment == "inside":
            reseal = module._reseal  # pyright: ignore[reportPrivateUsage]

            def reseal_and_end(*given: Any) -> None:
                reseal(*given)
                cut_off()

            patch.setattr(module, "_reseal", reseal_and_end)
        else:
            patch.setattr(Path, "replace", _except_to("master.key", cut_off))
        with pytest.raises(CutOffError):
            await store.rotate_key()
    await check_all_there(store)
    await store.rotate_key()
    await check_all_there(store)
    await store.set_credential("acme", "prod", "token", SECRET)
    await check_all_there(store)


def _except_to(name: str, cut_off: Any) -> Any:
    replace = Path.replace

    def replaced(self: Path, target: Any) -> Path:
        return cut_off() if Path(target).name == name else replace(self, target)

    return replaced


async def test_what_is_sealed_during_a_rotation_is_not_lost(
    tmp_path: Path, places: KeyPlaces
) -> None:
    path = tmp_path / "callslip.db"
    async with open_database(path) as one, open_database(path) as two:
        rotating, writing = SystemStore(one, KeyKeeper(places)), SystemStore(two, KeyKeeper(places))
        await filled(rotating)

        async def write() -> None:
            for number in range(20):
                await writing.set_credential("acme", "prod", "key", f"another-{number}")
                await writing.secrets("acme", "prod")

        async with anyio.create_task_group() as group:
            group.start_soon(write)
            for _ in range(8):
                await rotating.rotate_key()
        for store in (rotating, writing):
            found = await store.secrets("acme", "prod")
            assert found == {"token": SECRET, "key": "another-19"}


async def test_two_rotations_at_once_leave_one_key_that_opens_everything(
    tmp_path: Path, places: KeyPlaces
) -> None:
    path = tmp_path / "callslip.db"
    async with open_database(path) as one, open_database(path) as two:
        stores = [SystemStore(one, KeyKeeper(places)), SystemStore(two, KeyKeeper(places))]
        await filled(stores[0])

        async def rotate(store: SystemStore) -> None:
            for _ in range(5):
                # Refused while the other one rotates.
                with suppress(KeyProblemError):
                    await store.rotate_key()

        async with anyio.create_task_group() as group:
            for store in stores:
                group.start_soon(rotate, store)
        for store in stores:
            await check_all_there(store)


async def test_two_processes_with_different_keys_do_not_spoil_each_other(
    tmp_path: Path,
) -> None:
    path = tmp_path / "callslip.db"
    async with open_database(path) as one, open_database(path) as two:
        first = SystemStore(one, KeyKeeper(KeyPlaces(None, tmp_path / "a" / "master.key")))
        second = SystemStore(two, KeyKeeper(KeyPlaces(None, tmp_path / "b" / "master.key")))
        await filled(first)
        with pytest.raises(KeyProblemError):
            await second.set_credential("acme", "prod", "key", "sealed-elsewhere")
        await check_all_there(first)


async def test_a_key_of_the_environment_is_not_rotated(database: Database, tmp_path: Path) -> None:
    key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    store = SystemStore(database, KeyKeeper(KeyPlaces(key, tmp_path / "master.key")))
    await filled(store)
    with pytest.raises(KeyProblemError, match="CALLSLIP_MASTER_KEY"):
        await store.rotate_key()
    await check_all_there(store)
    assert not (tmp_path / "master.key").exists()
    assert key not in repr(KeyPlaces(key, tmp_path))


async def test_a_lost_key_is_said_and_setting_all_again_mends_it(
    store: SystemStore, places: KeyPlaces
) -> None:
    await filled(store)
    places.key_file.unlink()
    for work in (store.secrets("acme", "prod"), store.get_token("acme", "prod")):
        with pytest.raises(KeyProblemError, match="and set it anew"):
            await work
    with pytest.raises(KeyProblemError):
        await store.set_credential("acme", "prod", "token", SECRET)
    await store.delete("acme", "prod")
    await filled(store)
    await check_all_there(store)


@pytest.mark.parametrize("change", ["refresh token", "client", "sign-in", "other"])
async def test_tokens_of_another_sign_in_are_forgotten(change: str, store: SystemStore) -> None:
    auth = {"type": "oauth2", "clientId": "id", "refreshToken": "rt", "tokenUrl": "https://a/t"}
    system = {**ACME, "auth": auth}
    await store.put(system, {"id": "client", "rt": "rt-0"})
    await store.put_token("acme", "prod", TOKEN)
    if change == "refresh token":
        await store.set_credential("acme", "prod", "rt", "rt-1")
    elif change == "client":
        await store.unset_credential("acme", "prod", "id")
    elif change == "sign-in":
        await store.put({**system, "auth": {**auth, "scopes": ["more"]}}, {})
    else:
        await store.put({**system, "name": "Acme"}, {"note": "something"})
    found = await store.get_token("acme", "prod")
    assert (found is None) == (change != "other")


async def test_removing_a_system_removes_its_secrets(
    store: SystemStore, database: Database
) -> None:
    await filled(store)
    assert await store.delete("acme", "prod")
    assert not await store.delete("acme", "prod")

    def count(connection: sqlite3.Connection) -> int:
        tables = ("systems", "credentials", "tokens")
        return sum(
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables
        )

    assert await database.read(count) == 0
