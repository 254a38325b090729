"""What scripts find besides the language."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tools.scripts import ScriptValue

Evaluate = Callable[..., Awaitable[ScriptValue]]


@pytest.mark.parametrize(
    ("url", "base", "href"),
    [
        ("http://EXAMPLE.com:80/a/../b?x=1#f", None, "http://example.com/b?x=1#f"),
        ("../x", "http://h/d/e/f?q#g", "http://h/d/x"),
        ("?y=2", "http://h/d/e?q#g", "http://h/d/e?y=2"),
        ("#z", "http://h/d?q", "http://h/d?q#z"),
        ("", "http://h/d?q#f", "http://h/d?q"),
        ("//o.org/p", "https://h/d", "https://o.org/p"),
        ("a\\b", "http://h/d/", "http://h/d/a/b"),
        ("http://u:p w@h/ a?'\"#`", None, "http://u:p%20w@h/%20a?%27%22#%60"),
        ("http://münchen.de/ä?ö=ü#ß", None, "http://xn--mnchen-3ya.de/%C3%A4?%C3%B6=%C3%BC#%C3%9F"),
        ("http://0x7f.1/%2e%2e/%7e", None, "http://127.0.0.1/%7e"),
        ("http://[2001:db8:0:0:1:0:0:1]:8080", None, "http://[2001:db8::1:0:0:1]:8080/"),
        ("file:///C|/a/../../b", None, "file:///C:/b"),
        ("mailto:a@b.c?x=1", None, "mailto:a@b.c?x=1"),
        ("foo://bar/a/../b", None, "foo://bar/b"),
        ("  ht\ntp://h/a\tb ", None, "http://h/ab"),
        ("http://h/\ud800", None, "http://h/%EF%BF%BD"),
        ("http://", None, None),
        ("http://a b/", None, None),
        ("http://h:65536", None, None),
        ("http://1.2.3.256", None, None),
        ("/rel", None, None),
        ("x", "mailto:a@b", None),
    ],
)
async def test_urls_are_parsed_by_the_standard(
    evaluate: Evaluate, url: str, base: str | None, href: str | None
) -> None:
    source = """s => { try { return (s.b === null ? new URL(s.u) : new URL(s.u, s.b)).href }
        catch (error) { return error instanceof TypeError ? null : 'wrong' } }"""
    assert (await evaluate(source, {"u": url, "b": base})).value == href


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("new URL('https://u:p@h:1/p?q=1#f').origin", "https://h:1"),
        ("JSON.stringify([new URL('http://h')])", '["http://h/"]'),
        ("`${new URL('b', 'http://h/a/')}`", "http://h/a/b"),
        ("URL.canParse('x')", False),
        (
            "(() => { const u = new URL('http://h/?a=1&b=2&a=3'); const p = u.searchParams;"
            " p.append('ü', 'x y&'); p.delete('b'); p.set('a', '9'); return u.href })()",
            "http://h/?a=9&%C3%BC=x+y%26",
        ),
        (
            "(() => { const u = new URL('http://h/?a=1'); const p = u.searchParams;"
            " u.search = '?z=1&z=2'; u.hash = 'x y'; u.port = '81'; u.pathname = 'a b';"
            " return [u.href, p.getAll('z')] })()",
            ["http://h:81/a%20b?z=1&z=2#x%20y", ["1", "2"]],
        ),
        (
            "(() => { const u = new URL('http://h/?a=1'); u.searchParams.delete('a');"
            " return u.href })()",
            "http://h/",
        ),
        ("new URLSearchParams({a: 1, b: [1, 2], c: null}).toString()", "a=1&b=1%2C2&c=null"),
        ("new URLSearchParams([['a', 'b'], ['a', 'c']]) + ''", "a=b&a=c"),
        (
            "[...new URLSearchParams('?a=%zz&b&=c&&d=%F0%9F%98%80+%E9')]",
            [["a", "%zz"], ["b", ""], ["", "c"], ["d", "😀 \ufffd"]],
        ),
        ("Object.fromEntries(new URLSearchParams('a=1&b=2'))", {"a": "1", "b": "2"}),
        (
            "[new URLSearchParams('a=1').get('z'), new URLSearchParams('a=1').has('a')]",
            [None, True],
        ),
        (
            "[btoa('Aladdin:open sesame'), atob('QWxhZGRpbg==')]",
            ["QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin"],
        ),
        ("Buffer.from('u:pä').toString('base64')", "dTpww6Q="),
        ("Buffer.from('dTpww6Q', 'base64').toString()", "u:pä"),
        ("Buffer.from('-_8=', 'base64').toString('hex')", "fbff"),
        ("Buffer.from('c3a9', 'hex').toString('utf8')", "é"),
        ("Buffer.from('a?>').toString('base64url')", "YT8-"),
        ("Buffer.concat([Buffer.from('a'), Buffer.from([98])]) + ''", "ab"),
        ("JSON.stringify(Buffer.from('ab'))", '{"type":"Buffer","data":[97,98]}'),
        ("Buffer.from('\\ud800').toString('hex')", "efbfbd"),
        ("[...new TextEncoder().encode('é😀')]", [0xC3, 0xA9, 0xF0, 0x9F, 0x98, 0x80]),
        (
            "new TextDecoder().decode(new Uint8Array([0xef,0xbb,0xbf,97,0xff,0xf0,0x9f,0x98]))",
            "a\ufffd\ufffd",
        ),
        ("[escape('ü €/@'), unescape('%FC%u20AC')]", ["%FC%20%u20AC/@", "ü€"]),
        (
            "(() => { const a = { d: new Date(5), m: new Map([[1, { x: 1 }]]), s: new Set([1]),"
            " u: new Uint8Array([1, 2]), z: undefined }; a.self = a; const c = structuredClone(a);"
            " return [c !== a, c.self === c, c.d.getTime(), [...c.m], [...c.s], [...c.u], 'z' in c,"
            " c.m.get(1) !== a.m.get(1)] })()",
            [True, True, 5, [[1, {"x": 1}]], [1], [1, 2], True, True],
        ),
        (
            "(() => { try { structuredClone({ f() {} }) } catch (e) { return e.name } })()",
            "DataCloneError",
        ),
        (
            "/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/"
            ".test(crypto.randomUUID())",
            True,
        ),
        ("new Set(Array.from({length: 1000}, () => crypto.randomUUID())).size", 1000),
        ("typeof URL + (URL = 5, URL)", "function5"),
    ],
)
async def test_the_prelude_does_what_the_platform_does(
    evaluate: Evaluate, source: str, expected: Any
) -> None:
    assert (await evaluate(source, None)).value == expected


async def test_random_identifiers_differ_between_sessions(evaluate: Evaluate) -> None:
    first = await evaluate("crypto.randomUUID()", None)
    assert first.value != (await evaluate("crypto.randomUUID()", None)).value


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("(1234567.891).toLocaleString()", "1,234,567.891"),
        ("(1234.5).toLocaleString('en-US', {style: 'currency', currency: 'USD'})", "$1,234.50"),
        (
            "(-1234.5).toLocaleString('de-DE', {style: 'currency', currency: 'EUR'})",
            "-1.234,50\u00a0€",
        ),
        ("(0.256).toLocaleString('en-US', {style: 'percent', maximumFractionDigits: 1})", "25.6%"),
        ("(1.005).toLocaleString('en-US', {minimumFractionDigits: 2})", "1.005"),
        ("(1234567).toLocaleString('en', {notation: 'compact'})", "1.2M"),
        (
            "[1234.5, 5].map(new Intl.NumberFormat('en-US', {minimumFractionDigits: 2}).format)",
            ["1,234.50", "5.00"],
        ),
        ("(12345678901234567890n).toLocaleString()", "12,345,678,901,234,567,890"),
        ("new Date(0).toLocaleDateString('en-US', {timeZone: 'UTC'})", "1/1/1970"),
        ("new Date(0).toLocaleString('en-US', {timeZone: 'UTC'})", "1/1/1970, 12:00:00 AM"),
        ("new Date(0).toLocaleTimeString('en-GB', {timeZone: 'UTC'})", "00:00:00"),
        ("new Date(0).toLocaleDateString('de-DE', {timeZone: 'UTC'})", "1.1.1970"),
        (
            "new Intl.DateTimeFormat('en-US', {dateStyle: 'full', timeZone: 'UTC'}).format(0)",
            "Thursday, January 1, 1970",
        ),
        ("new Intl.NumberFormat('sw-KE').resolvedOptions().locale", "en-US"),
        (
            "(() => { try { new Date(0).toLocaleString('en-US', {timeZone: 'Asia/Tokyo'}) }"
            " catch (e) { return e.name } })()",
            "RangeError",
        ),
        (
            "(() => { try { (1).toLocaleString('en-US', {style: 'currency'}) }"
            " catch (e) { return e.name } })()",
            "TypeError",
        ),
    ],
)
async def test_common_locale_formats_are_there_and_others_say_they_are_not(
    evaluate: Evaluate, source: str, expected: Any
) -> None:
    assert (await evaluate(source, None)).value == expected
