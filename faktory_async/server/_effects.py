"""What a fault does to a command or its reply."""

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

from faktory_async.server._answers import Answer, Answers, Close
from faktory_async.server._broker import Broker
from faktory_async.server._connection import Connection
from faktory_async.server._gowrite import write_flat
from faktory_async.server._intake import read_jobs
from faktory_async.server._queue_command import OK, queue_name
from faktory_async.server._reports import UnreadableError, parse_failure, parse_jid

GREETING: Final = "HI"
GARBAGE: Final = b"\x00\xff no Faktory says this\r\n"

_DEADLINE: Final = "context deadline exceeded"
_EXCEEDED: Final = f"-ERR {_DEADLINE}\r\n".encode()
_HALFWAY: Final = f"-ERR cannot add element in the working set: {_DEADLINE}\r\n".encode()
_map: Final = msgspec.json.Decoder(dict[str, str])

GoOn = Callable[[], Answer]


class Command(Struct, frozen=True):
    """A command that a fault meets.

    Attributes:
        verb: Its verb; `HI` for the greeting, which nobody asks for.
        line: The whole of it.
        connection: Where it came from.
        broker: What it acts on.
    """

    verb: str
    line: bytes
    connection: Connection
    broker: Broker

    @property
    def rest(self) -> bytes:
        """What follows the verb and its space."""
        return self.line.partition(b" ")[2]


class Effect:
    """What happens to a command: here nothing, kinds of faults change some of it.

    Attributes:
        silent: Whether nothing is answered, nor anything heard on that connection any more.
        seconds: How much later the reply comes.
    """

    silent = False
    seconds = 0.0

    def answer(self, command: Command, go_on: GoOn) -> Answer:
        """Return the answer; `go_on` carries the command out as usual."""
        del command
        return go_on()

    def spoil(self, reply: bytes) -> bytes | Close:
        """Return what is sent in place of a reply."""
        return reply


class Silence(Effect):
    """No answer.

    Args:
        executed: Whether the command is carried out nevertheless.
    """

    silent = True

    def __init__(self, *, executed: bool) -> None:
        self._executed = executed

    def answer(self, command: Command, go_on: GoOn) -> Answer:
        del command
        return go_on() if self._executed else b""


class Lateness(Effect):
    """A reply that comes late; the command is carried out at once."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Refusal(Effect):
    """An error for an answer.

    Args:
        text: The line, with or without its `-`.
        executed: Whether the command is carried out nevertheless.
    """

    def __init__(self, text: str, *, executed: bool) -> None:
        self._reply = f"-{text.removeprefix('-')}\r\n".encode()
        self._executed = executed

    def answer(self, command: Command, go_on: GoOn) -> Answer:
        del command
        if self._executed:
            go_on()
        return self._reply


class Garbage(Effect):
    """Other bytes for a reply."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def spoil(self, reply: bytes) -> bytes | Close:
        del reply
        return self._data


class Cut(Effect):
    """A reply that ends early.

    Args:
        size: After how many bytes.
        closes: Whether the connection ends there; else it goes on as if all had been sent.
    """

    def __init__(self, size: int, *, closes: bool) -> None:
        self._size = size
        self._closes = closes

    def spoil(self, reply: bytes) -> bytes | Close:
        return Close(reply[: self._size]) if self._closes else reply[: self._size]


class DeadlineExceeded(Effect):
    """What the real server answers while its Redis stalls.

    Args:
        stored: Whether the command got to Redis all the same. The answer does not tell.
    """

    def __init__(self, *, stored: bool) -> None:
        self._stored = stored

    def answer(self, command: Command, go_on: GoOn) -> Answer:
        match command.verb:
            case "PUSH" | "PUSHB":
                return self._push(command, go_on)
            case "ACK" | "FAIL":
                return self._report(command, go_on)
            case "FETCH":
                return self._fetch(command)
            case "BEAT" | "END" | "HELLO" | "HI":  # which need no Redis
                return go_on()
            case _:
                if self._stored:
                    go_on()
                return _EXCEEDED

    def _push(self, command: Command, go_on: GoOn) -> Answer:
        # What is wrong with a job is found out without Redis, and said as ever.
        reply = go_on() if self._stored else _on_trial(command)
        if reply == OK:
            return _EXCEEDED
        if command.verb == "PUSH" or not isinstance(reply, bytes) or reply.startswith(b"-"):
            return reply
        refused: dict[str, str] = _map.decode(reply.partition(b"\r\n")[2])
        jids = [document.jid for document in read_jobs(command.rest)]
        said = write_flat(dict.fromkeys(jids, _DEADLINE) | refused)
        return b"$%d\r\n%b\r\n" % (len(said), said)

    def _report(self, command: Command, go_on: GoOn) -> Answer:
        jid = _reported_jid(command)
        if jid is None or not command.broker.working.has(jid):
            return go_on()
        if self._stored:
            go_on()
        else:
            # It is forgotten that the jid is reserved before Redis is asked to note the outcome.
            command.broker.working.release(jid)
        return _EXCEEDED

    def _fetch(self, command: Command) -> Answer:
        names = queue_name(command.rest).split(" ")
        taken = command.broker.queues.pop(names) if self._stored else None
        return _EXCEEDED if taken is None else _HALFWAY


def _on_trial(command: Command) -> Answer:
    """Return the answer of a server that is forgotten at once."""
    broker = command.broker
    answers = Answers(Broker(broker.clock, broker.rand))
    return answers.answer(command.connection, command.line)


def _reported_jid(command: Command) -> str | None:
    try:
        if command.verb == "ACK":
            return parse_jid(command.rest)
        return parse_failure(command.rest).jid
    except UnreadableError:
        return None


def chain(effects: Iterable[Effect], command: Command, go_on: GoOn) -> Answer:
    """Return the answer to a command that several effects change, the first one nearest to it."""
    for effect in effects:
        go_on = _through(effect, command, go_on)
    return go_on()


def _through(effect: Effect, command: Command, go_on: GoOn) -> GoOn:
    return lambda: effect.answer(command, go_on)


def spoiled(effects: Iterable[Effect], reply: bytes) -> tuple[bytes, bool]:
    """Return what is sent in place of a reply, and whether the connection ends there."""
    for effect in effects:
        result: Any = effect.spoil(reply)
        if isinstance(result, Close):
            return result.data, True
        reply = result
    return reply, False
