"""`python -m faktory_async.server`: the embedded Faktory as a process of its own."""

import argparse
import os
import signal
import sys
from contextlib import aclosing
from importlib.util import find_spec
from typing import Final

import anyio

from faktory_async.errors import UsageError
from faktory_async.net import DEFAULT_PORT
from faktory_async.server._edition import EDITIONS
from faktory_async.server._embedded import EmbeddedServer

_DESCRIPTION: Final = (
    "Run a Faktory in memory, for development and tests. It answers as the real one does, "
    "and forgets everything when it stops."
)
_MAX_PORT: Final = 65_535


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        server = EmbeddedServer(**vars(options))
    except UsageError as error:
        print(f"Faktory cannot start: {error}", file=sys.stderr)  # noqa: T201 - a command
        return 2
    loop = {"use_uvloop": find_spec("uvloop") is not None}
    return anyio.run(_serve, server, backend_options=loop)


async def _serve(server: EmbeddedServer) -> int:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        try:
            await server.open()
        except OSError as error:
            print(f"Faktory cannot listen: {error}", file=sys.stderr)  # noqa: T201 - a command
            return 1
        async with aclosing(server):
            # Whoever started this waits for the line, so it must not stay in a buffer.
            print(f"Faktory listens on {server.address}", flush=True)  # noqa: T201 - a command
            await anext(signals)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m faktory_async.server", description=_DESCRIPTION
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    parser.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, help="0 chooses a free one (%(default)s)"
    )
    parser.add_argument(
        "--password",
        default=os.environ.get("FAKTORY_PASSWORD"),
        help="what clients must prove to know; also read from FAKTORY_PASSWORD",
    )
    parser.add_argument("--tls-cert", metavar="FILE", help="speak TLS, with this certificate (PEM)")
    parser.add_argument(
        "--tls-key", metavar="FILE", help="the certificate's key, unless it is in the same file"
    )
    parser.add_argument(
        "--tls-client-ca", metavar="FILE", help="ask clients for a certificate by one of these"
    )
    parser.add_argument(
        "--edition",
        choices=EDITIONS,
        default=EDITIONS[0],
        help="which Faktory it is; the free one refuses what only Enterprise has (%(default)s)",
    )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text} is no port: 0 to {_MAX_PORT}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
