"""`python -m faktory_async.server`: the embedded Faktory as a process of its own."""

import argparse
import os
import signal
import sys
from typing import Final

import anyio

from faktory_async.server._embedded import EmbeddedServer

_DESCRIPTION: Final = (
    "Run a Faktory in memory, for development and tests. It answers as the real one does, "
    "and forgets everything when it stops."
)


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; return the exit status."""
    options = _parser().parse_args(arguments)
    server = EmbeddedServer(host=options.host, port=options.port, password=options.password)
    try:
        anyio.run(_serve, server)
    except OSError as error:
        print(f"cannot listen on {options.host}:{options.port}: {error}", file=sys.stderr)  # noqa: T201 - a command
        return 1
    return 0


async def _serve(server: EmbeddedServer) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with server:
            # Whoever started this waits for the line, so it must not stay in a buffer.
            print(f"Faktory listens on {server.address}", flush=True)  # noqa: T201 - a command
            async for _ in signals:
                break


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m faktory_async.server", description=_DESCRIPTION
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    parser.add_argument("--port", type=int, default=7419, help="0 chooses a free one (%(default)s)")
    parser.add_argument(
        "--password",
        default=os.environ.get("FAKTORY_PASSWORD"),
        help="what clients must prove to know; also read from FAKTORY_PASSWORD",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
