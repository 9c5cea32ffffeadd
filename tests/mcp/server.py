"""An MCP server on loopback by fastmcp, with fastmcp's own authorization server, or (--kind mcp) by the Python SDK without any
authorization. Prints one JSON line when it is ready, and ends with its stdin."""

import argparse
import json
import os
import socket
import sys
import threading

import uvicorn

parser = argparse.ArgumentParser()
parser.add_argument("--kind", choices=["fastmcp", "mcp"], default="fastmcp")
arguments = parser.parse_args()

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(128)
origin = f"http://127.0.0.1:{listener.getsockname()[1]}"

if arguments.kind == "fastmcp":
    from fastmcp import FastMCP
    from fastmcp.server.auth.providers.in_memory import InMemoryOAuthProvider
    from mcp.server.auth.settings import ClientRegistrationOptions

    registration = ClientRegistrationOptions(enabled=True, valid_scopes=["mcp"], default_scopes=["mcp"])
    server = FastMCP("fastmcp", auth=InMemoryOAuthProvider(base_url=origin, client_registration_options=registration))
else:
    from mcp.server import MCPServer

    server = MCPServer("mcp")


@server.tool()
def echo() -> str:
    """Repeats nothing"""
    return "echo from Python"


@server.tool()
def slow() -> str:
    """Takes its time"""
    return "done"


app = server.http_app() if arguments.kind == "fastmcp" else server.streamable_http_app()
print(json.dumps({"url": f"{origin}/mcp", "origin": origin}), flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
