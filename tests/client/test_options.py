"""What a client is given: by its URL, apart from it, and what goes first."""

import ssl

import anyio
import pytest

from faktory_async import AddressError, AuthenticationError, Client, EmbeddedServer, Job, Limits

pytestmark = pytest.mark.anyio


async def test_a_password_may_be_given_apart_from_the_url() -> None:
    async with EmbeddedServer(password="s3cret") as server:
        url = f"tcp://{server.host}:{server.port}"
        async with Client(url, password="s3cret") as client:
            await client.push(Job("order"))
        async with Client(url, password="another") as client:
            with pytest.raises(AuthenticationError):
                await client.push(Job("order"))


async def connections_for(client: Client, server: EmbeddedServer) -> int:
    """Ask many times at once, and return how many connections that took."""
    async with client:
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(client.info)
        return server.counters.connections


async def test_the_urls_options_hold() -> None:
    async with EmbeddedServer() as server:
        assert await connections_for(Client(f"{server.url}?max_connections=2"), server) == 2


async def test_what_the_program_gives_goes_before_the_urls_options() -> None:
    async with EmbeddedServer() as server:
        client = Client(f"{server.url}?max_connections=2", limits=Limits(max_connections=3))
        assert await connections_for(client, server) == 3


def test_a_context_of_ones_own_needs_an_address_with_tls() -> None:
    with pytest.raises(AddressError, match="TLS options are given"):
        Client("tcp://localhost", tls=ssl.create_default_context())
    assert "tcp+tls://localhost" in repr(
        Client("tcp+tls://localhost", tls=ssl.create_default_context())
    )
