"""Origins of urls, however they are written."""

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tools.urls import origin_of


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.test/a?b#c", "https://api.test"),
        ("https://api.test", "https://api.test"),
        ("HTTPS://API.test/a", "https://api.test"),
        ("https://api.test:443/a", "https://api.test"),
        ("http://api.test:443/a", "http://api.test:443"),
        ("http://api.test:80?x", "http://api.test"),
        ("http://api.test:8080#x", "http://api.test:8080"),
        ("http://api.test:08080/", "http://api.test:8080"),
        ("http://user:word@api.test/a", "http://api.test"),
        ("http://api.test@other.test/", "http://other.test"),
        ("http://[::1]:8000/a", "http://[::1]:8000"),
        ("http://api.test:65535/", "http://api.test:65535"),
        ("http://api.test:65536/", None),
        ("http://api.test:port/", None),
        ("http:///a", None),
        ("ftp://api.test/", None),
        ("/a/b", None),
        ("", None),
    ],
)
def test_the_origin_of_a_url_has_no_default_port_and_is_lower_case(
    url: str, origin: str | None
) -> None:
    assert origin_of(url) == origin


_HOSTS = st.sampled_from(["a.test", "B", "[::1]", "\u00e9", ".", "-", "%2e", ""])
_PORTS = st.sampled_from(["", ":", ":80", ":443", ":8080", ":0", ":08", ":65535", ":65536", ":x"])
_ODD = st.sampled_from(["", "", "@", "/", "?", "#", "\\", "\n", "\t", " ", "\x00", "a@b.test/"])
_SCHEMES = st.sampled_from(["http://", "https://", "HTTP://", "ftp://", "http:", "//", ""])
_URLS = st.tuples(_ODD, _SCHEMES, _ODD, _HOSTS, _ODD, _PORTS, _ODD, _ODD).map("".join)


@given(_URLS)
@example("http://a.test\n")
@example("http://a.test:80\n")
@example("http://a.test\\@b.test/")
def test_the_origin_is_the_one_that_the_parts_of_the_url_make(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        assert origin_of(url) is None
        return
    default = {"http": 80, "https": 443}.get(parts.scheme)
    if default is None or not host:
        assert origin_of(url) is None
        return
    shown = f"[{host}]" if ":" in host else host
    assert origin_of(url) == f"{parts.scheme}://{shown}" + (
        "" if port in {None, default} else f":{port}"
    )
