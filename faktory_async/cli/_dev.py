"""`faktory-async dev`: a server if there is none, a worker, and reload."""

import os
from contextlib import AsyncExitStack
from typing import Final

from faktory_async.cli._errors import NO_SERVER, REFUSED, CommandError
from faktory_async.cli._logs import COMMAND
from faktory_async.cli._reload import run_reloaded
from faktory_async.cli._settings import Settings
from faktory_async.errors import AuthenticationError, ConnectError, FaktoryError, TLSError
from faktory_async.net import Address, Connector

_OURS: Final = ("localhost", "127.0.0.1", "::1")


async def develop(settings: Settings) -> int:
    """Run a worker that is reloaded, with the server of the environment or one in memory.

    The server lives in this process, so that its jobs outlive a reload.

    Returns:
        The exit code of the last worker.

    Raises:
        CommandError: the server refuses us, or there is none and none can be started there.
    """
    address = Address.from_environment()
    environment = dict(os.environ)
    async with AsyncExitStack() as stack:
        if await _is_there(address):
            COMMAND.info("the server on %s is used", address.url)
        else:
            environment["FAKTORY_URL"] = await _start(address, stack)
            environment.pop("FAKTORY_PROVIDER", None)
        return await run_reloaded(settings, environment)


async def _is_there(address: Address) -> bool:
    try:
        connection = await Connector(address)()
    except (AuthenticationError, TLSError) as error:
        raise CommandError(REFUSED, str(error)) from error
    except ConnectError as error:
        if address.host in _OURS and not address.tls and address.path is None:
            return False
        raise CommandError(
            NO_SERVER,
            f"{error}\nwithout FAKTORY_URL, a server in memory would be started on this machine",
        ) from error
    except FaktoryError as error:
        raise CommandError(NO_SERVER, str(error)) from error
    await connection.aclose()
    return True


async def _start(address: Address, stack: AsyncExitStack) -> str:
    from faktory_async.server import EmbeddedServer  # noqa: PLC0415 - rarely needed

    host = "127.0.0.1" if address.host == "localhost" else address.host
    server = EmbeddedServer(host=host, port=address.port, password=address.password)
    try:
        await stack.enter_async_context(server)
    except OSError as error:
        raise CommandError(NO_SERVER, f"cannot listen on {address.url}: {error}") from error
    COMMAND.info(
        "no server on %s, so one in memory was started: its jobs are lost when this ends",
        address.url,
    )
    return server.url
