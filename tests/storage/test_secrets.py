"""Keys and sealed values: what opens, what does not, and what is said then."""

import base64
import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.secrets import (
    KeyProblemError,
    MasterKey,
    SecretBox,
    decode_key,
    new_master_key,
    read_key_file,
    replace_key_file,
    write_key_file,
)

PLACE = ("acme", "prod", "token")
KEY = MasterKey(bytes(range(32)), "a test")


def test_what_is_sealed_opens_at_its_place() -> None:
    box = SecretBox(KEY)
    sealed = box.seal("pässword", PLACE)
    assert box.open(sealed, PLACE) == "pässword"
    assert "pässword".encode() not in sealed
    assert box.seal("pässword", PLACE) != sealed


@pytest.mark.parametrize(
    "place",
    [("acme", "prod", "other"), ("acme", "dev", "token"), ("beta", "prod", "token")],
)
def test_a_sealed_value_that_was_moved_does_not_open(place: tuple[str, ...]) -> None:
    box = SecretBox(KEY)
    with pytest.raises(KeyProblemError, match="does not open") as caught:
        box.open(box.seal("password", PLACE), place)
    assert "password" not in str(caught.value)
    assert "\0" not in str(caught.value)


@pytest.mark.parametrize("sealed", [b"", b"short", bytes(40)])
def test_a_damaged_value_is_a_key_problem(sealed: bytes) -> None:
    with pytest.raises(KeyProblemError, match="a test"):
        SecretBox(KEY).open(sealed, PLACE)


@pytest.mark.parametrize("text", ["abc", "é", base64.b64encode(bytes(31)).decode(), "=" * 44])
def test_a_malformed_key_names_its_place_and_not_itself(text: str, tmp_path: Path) -> None:
    with pytest.raises(KeyProblemError, match=r"^CALLSLIP_MASTER_KEY is no key") as caught:
        decode_key(text, "CALLSLIP_MASTER_KEY")
    assert text not in str(caught.value)
    (tmp_path / "key").write_text(text, "utf-8")
    with pytest.raises(KeyProblemError, match="the key file"):
        read_key_file(tmp_path / "key")


def test_the_key_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "config" / "master.key"
    key = write_key_file(new_master_key("new"), path)
    found = read_key_file(path)
    assert found is not None
    assert found.value == key.value
    replace_key_file(KEY, path)
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["master.key"]
    assert repr(key.value) not in repr(key)


def test_those_who_make_the_first_key_at_once_get_the_same(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(write_key_file, new_master_key("new"), path) for _ in range(32)]
        keys = [one.result() for one in made]
    assert len({key.value for key in keys}) == 1
    assert os.listdir(tmp_path) == ["master.key"]


def test_a_key_that_cannot_be_written_is_a_key_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyProblemError, match="cannot be written"):
        write_key_file(KEY, tmp_path / "file" / "master.key")
