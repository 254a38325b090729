"""FastMCP: one tool made of an OpenAPI document, one GET, no record."""

import sys
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

# In an environment of its own.
fastmcp: Any = import_module("fastmcp")

URL = urlsplit(sys.argv[1])
DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Items", "version": "1"},
    "paths": {
        URL.path: {
            "get": {
                "operationId": "get_items",
                "responses": {"200": {"description": "Items"}},
            }
        }
    },
}

try:
    http: Any = import_module("httpx2")
except ImportError:
    http = import_module("httpx")
client = http.AsyncClient(base_url=f"{URL.scheme}://{URL.netloc}")
server = fastmcp.FastMCP.from_openapi(openapi_spec=DOCUMENT, client=client, name="peer")
server.run(show_banner=False)
