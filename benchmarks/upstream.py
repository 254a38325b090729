"""The upstream of the benchmarks, as fast as asyncio allows.

`/items` is one document, of JSON rows or of another shape; `/slow?id=3` the same after 20 ms;
`/pages?page=3&of=25` is a page of 500 rows, of which the last has one row less.
"""

import asyncio
import io
import json
import sys
import zipfile
from urllib.parse import parse_qsl, urlsplit

LATENCY_SECONDS = 0.02
PAGE_ROWS = 500
UNKNOWN_TYPE = "application/octet-stream"
#: A connection that finds no room among those not yet accepted tries again after a second.
CONNECTIONS_AT_ONCE = 1024


class Upstream(asyncio.Protocol):
    """Answers the requests of one connection."""

    document = b""
    row = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            target = head.split(b" ", 2)[1]
            if target.startswith(b"/slow"):
                asyncio.get_running_loop().call_later(LATENCY_SECONDS, self._answer, self.document)
            elif target.startswith(b"/pages"):
                query = dict(parse_qsl(urlsplit(target.decode()).query))
                self._answer(self._page(int(query["page"]), int(query["of"])))
            else:
                self._answer(self.document)

    def _answer(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)

    def _page(self, page: int, of: int) -> bytes:
        # The first row differs from page to page: pages that are the same end a pagination.
        rows = [json.dumps({"id": page, "name": "first", "price": 0.5}).encode()]
        rows += [self.row] * (PAGE_ROWS - 1 - (page >= of))
        return answer_of(b'{"rows":[' + b",".join(rows) + b"]}")


def answer_of(body: bytes, content_type: str = "application/json") -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def document(size: int, shape: str = "rows") -> bytes:
    """An answer whose body has about `size` bytes.

    Of JSON `rows`, or the same rows `by-id`; a `file` in base64 in an object of JSON; plain `text`;
    a `table` that does not say so; the rows in a `zip`, of which `size` is what it unpacks to.
    """
    if shape == "file":
        return answer_of(json.dumps({"name": "a.pdf", "content": "QUJD" * (size // 4)}).encode())
    rows: list[bytes] = []
    length = 0
    while length < size or not rows:
        number = len(rows)
        row = {"id": number, "name": f"item {number}", "price": number * 1.25}
        rows.append(json.dumps(row).encode())
        if shape == "by-id":
            rows[-1] = b'"item %d": %s' % (number, rows[-1])
        length += len(rows[-1]) + 1
    match shape:
        case "by-id":
            return answer_of(b"{" + b",".join(rows) + b"}")
        case "table":
            lines = (f"{n},item {n},{n * 1.25}" for n in range(len(rows)))
            return answer_of("\n".join(["id,name,price", *lines]).encode(), UNKNOWN_TYPE)
        case "zip":
            archive = io.BytesIO()
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
                file.writestr("items.json", b"[" + b",".join(rows) + b"]")
            return answer_of(archive.getvalue(), "application/zip")
        case "text":
            return answer_of(b"item: " + b"\n".join(rows), "text/plain")
        case _:
            return answer_of(b'{"items":[' + b",".join(rows) + b"]}")


async def main(size: int, shape: str) -> None:
    Upstream.document = document(size, shape)
    Upstream.row = json.dumps({"id": 12345, "name": "item 12345", "price": 15431.25}).encode()
    server = await asyncio.get_running_loop().create_server(
        Upstream, "127.0.0.1", 0, backlog=CONNECTIONS_AT_ONCE
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "rows"))
