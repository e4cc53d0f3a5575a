"""QUEUE: pausing, resuming and removing queues, and how long they make jobs wait."""

from collections.abc import Callable, Sequence
from typing import Final

from faktory_async.server._broker import Broker
from faktory_async.server._gotime import TimestampError
from faktory_async.server._gowrite import format_float, write_bytes
from faktory_async.server._queues import EVERY, Queues

INTERNAL_ERROR: Final = b"-ERR internal error\r\n"
OK: Final = b"+OK\r\n"
_NO_WILDCARDS: Final = b"-ERR QUEUE LATENCY does not support wildcards\r\n"


def queue_name(raw: bytes) -> str:
    """Return a queue's name; a name that is not ASCII only has to be no queue's."""
    return raw.decode("latin-1")


def answer_queue(broker: Broker, rest: bytes | None) -> bytes:
    """Return the reply to QUEUE; `rest` is what follows the verb, None for nothing at all."""
    if rest is None:
        return INTERNAL_ERROR
    raw, *names = rest.split(b" ")
    subcommand = upper(raw)
    if subcommand == "LATENCY":
        return _latency(broker, names)
    change = _CHANGES.get(subcommand)
    if change is None:
        return f"-ERR no such QUEUE subcommand: {subcommand}\r\n".encode()
    if not names:
        return INTERNAL_ERROR
    change(broker.queues, [queue_name(name) for name in names])
    return OK


def upper(raw: bytes) -> str:
    """Return a word in Go's upper case: one character for one, U+FFFD for what is no UTF-8."""
    if raw.isascii():
        return raw.decode().upper()
    text = raw.decode("utf-8", "surrogateescape")
    return "".join(map(_upper_char, text))


def _upper_char(char: str) -> str:
    if "\udc80" <= char <= "\udcff":
        return "\ufffd"
    upper = char.upper()
    return upper if len(upper) == 1 else char


def _latency(broker: Broker, names: Sequence[bytes]) -> bytes:
    if list(names) == [EVERY.encode()]:
        return _NO_WILDCARDS
    now = broker.clock()
    try:
        latencies = {name: broker.queues.latency(queue_name(name), now) for name in names}
    except TimestampError as error:
        return f"-ERR QUEUE: {error.text}\r\n".encode()
    pairs = [
        write_bytes(name) + b":" + format_float(seconds).encode()
        for name, seconds in sorted(latencies.items())
    ]
    body = b"{" + b",".join(pairs) + b"}"
    return b"$%d\r\n%b\r\n" % (len(body), body)


_CHANGES: Final[dict[str, Callable[[Queues, list[str]], None]]] = {
    "PAUSE": Queues.pause,
    "RESUME": Queues.resume,
    "REMOVE": Queues.remove,
}
