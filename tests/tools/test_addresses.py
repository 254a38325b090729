"""Which addresses a request may reach."""

import pytest

from tools.addresses import AddressPolicy, check_address
from tools.errors import ErrorKind, RunError

PRIVATE = [
    *("127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.9.9", "::1", "fc00::1", "0.0.0.0"),
    *("::ffff:127.0.0.1", "64:ff9b::7f00:1", "224.0.0.1", "100.64.0.1"),
]
METADATA = ["169.254.169.254", "fe80::1%eth0", "fd00:ec2::254", "::ffff:169.254.169.254"]
PUBLIC = ["93.184.216.34", "2606:2800:220:1::1"]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_always_reached(address: str) -> None:
    check_address("h.test", address, AddressPolicy.PUBLIC)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_need_the_setting(address: str) -> None:
    check_address("h.test", address, AddressPolicy.PRIVATE)
    with pytest.raises(RunError, match="private address") as caught:
        check_address("h.test", address, AddressPolicy.PUBLIC)
    assert caught.value.kind is ErrorKind.BLOCKED_ADDRESS


@pytest.mark.parametrize("address", METADATA)
def test_metadata_addresses_need_the_systems_consent(address: str) -> None:
    check_address("h.test", address, AddressPolicy.ANY)
    for policy in (AddressPolicy.PUBLIC, AddressPolicy.PRIVATE):
        with pytest.raises(RunError, match="link-local or cloud metadata"):
            check_address("h.test", address, policy)
