"""The upstream of the benchmarks: one JSON document for every GET, as fast as asyncio allows."""

import asyncio
import json
import sys


class Upstream(asyncio.Protocol):
    """Answers each request on a connection with the same bytes."""

    answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            _, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            self.transport.write(self.answer)


def document(size: int) -> bytes:
    """A JSON document of about `size` bytes."""
    rows = [{"id": i, "name": f"item {i}", "price": i * 1.25} for i in range(max(1, size // 48))]
    return json.dumps({"items": rows}).encode()


async def main(size: int) -> None:
    body = document(size)
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    Upstream.answer = head.encode() + body
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
