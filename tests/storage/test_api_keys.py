"""Keys of the HTTP server: found by what they are, stored as hashes."""

import pytest

from storage.api_keys import ApiKeyExistsError, ApiKeyStore, Scope, is_same_key
from storage.database import Database


@pytest.fixture
def keys(database: Database) -> ApiKeyStore:
    return ApiKeyStore(database)


async def test_a_key_is_found_by_its_text_alone(keys: ApiKeyStore) -> None:
    key = await keys.create("ci", [Scope.RUN, Scope.READ], ["tool"], ["folder"])
    await keys.create("other", [Scope.ADMIN])
    found = await keys.find(key)
    assert found is not None
    assert (found.name, found.scopes) == ("ci", {Scope.READ, Scope.RUN})
    assert (found.tool_ids, found.folders) == (("tool",), ("folder",))
    for wrong in ("", key[:-1], key + "x", key.swapcase(), "\ud800"):
        assert await keys.find(wrong) is None


async def test_a_name_is_given_once_even_after_its_key_was_revoked(keys: ApiKeyStore) -> None:
    await keys.create("ci", [Scope.READ])
    assert await keys.has_any()
    assert await keys.revoke("ci")
    assert not await keys.revoke("ci")
    assert not await keys.has_any()
    with pytest.raises(ApiKeyExistsError, match="another name"):
        await keys.create("ci", [Scope.READ])


async def test_a_use_is_noted_at_most_once_a_minute(
    keys: ApiKeyStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000_000_000_000
    monkeypatch.setattr("storage.api_keys.now_ms", lambda: now)
    key = await keys.create("ci", [Scope.READ])

    async def last_used() -> int | None:
        await keys.find(key)
        return (await keys.list())[0].last_used_at

    assert await last_used() == now
    now += 59_999
    assert await last_used() == now - 59_999
    now += 1
    assert await last_used() == now


def test_the_same_key_is_the_same() -> None:
    assert is_same_key("a", "a")
    assert not is_same_key("a", "b")
    assert not is_same_key("a\ud800", "a")
