"""An MCP client by the Python SDK: connects to --url and authorizes as the SDK does. It speaks in lines of JSON, as client.mjs."""

import argparse
import asyncio
import json
import sys
from urllib.parse import parse_qs, urlparse

from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

parser = argparse.ArgumentParser()
parser.add_argument("--url", required=True)
parser.add_argument("--mode", choices=["auto", "legacy"], default="auto")
arguments = parser.parse_args()


def say(line):
    print(json.dumps(line), flush=True)


async def read():
    line = await asyncio.to_thread(sys.stdin.readline)
    if not line:
        sys.exit(0)
    return line.strip()


class Storage:
    tokens = client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


async def redirect(url):
    say({"authorize": url})


async def callback():
    query = {name: values[0] for name, values in parse_qs(urlparse(await read()).query).items()}
    return AuthorizationCodeResult(code=query["code"], state=query.get("state"), iss=query.get("iss"))


async def main():
    metadata = OAuthClientMetadata(
        client_name="Python SDK",
        redirect_uris=["http://127.0.0.1:9/callback"],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",
    )
    auth = OAuthClientProvider(arguments.url, metadata, Storage(), redirect, callback)
    async with create_mcp_http_client(auth=auth) as http:
        async with Client(streamable_http_client(arguments.url, http_client=http), mode=arguments.mode) as client:
            while True:
                tools = await client.list_tools()
                echo = await client.call_tool("echo", {})
                slow = await client.call_tool("slow", {})
                names = [tool.name for tool in tools.tools]
                say({"tools": names, "echo": echo.content[0].text, "slow": slow.content[0].text})
                if await read() == "close":
                    return


try:
    asyncio.run(main())
except Exception as error:
    say({"failed": f"{type(error).__name__}: {error}"})
    sys.exit(1)
