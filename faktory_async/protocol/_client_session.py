"""The client's end of one connection, without I/O."""

import copy
import math
from collections import deque
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, Final

from msgspec import Struct

from faktory_async.errors import (
    ClientStateError,
    FaktoryError,
    ProtocolError,
    ServerBusyError,
    UsageError,
)
from faktory_async.protocol._command import Command, expect_ok
from faktory_async.protocol._commands import Hello
from faktory_async.protocol._handshake import Greeting, Identity, parse_greeting
from faktory_async.protocol._refusals import refusal
from faktory_async.protocol._reply import MAX_BULK, MAX_LINE, ErrorReply, Reply, ReplyReader
from faktory_async.protocol._state import TRANSITIONS, Event, State, advance

_HANDSHAKE: Final = (State.GREETING, State.GREETED, State.IDENTIFYING)
_OVER: Final = (State.CLOSED, State.BROKEN)
# What the table says of the moves that come with every reply.
_AFTER_REPLY: Final = TRANSITIONS[State.BUSY, Event.REPLY]
_AFTER_LAST_REPLY: Final = TRANSITIONS[State.BUSY, Event.LAST_REPLY]


class Ticket(Struct, eq=False):
    """The replies that commands, sent together, are waiting for.

    Attributes:
        commands: What was sent, in order.
        ends: For each command, how many bytes of the session end with its newline.
        deadline: When whoever brings the bytes stops waiting, on its own clock.
        patience: By how many seconds from then every piece of a reply moves the deadline; None
            where it stands.
        replies: What has arrived so far, in the order of the commands.
        heed: Called by whoever brings the bytes, when replies may have come, for what cannot wait
            until a task wakes. It must not raise.
    """

    commands: Sequence[Command[Any]]
    ends: Sequence[int]
    deadline: float = math.inf
    patience: float | None = None
    replies: list[Reply] = []
    heed: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"<Ticket {len(self.replies)} of {len(self.commands)} replies>"

    @property
    def done(self) -> bool:
        """Whether every reply is there."""
        return len(self.replies) == len(self.commands)


class ClientSession:
    """Says HELLO, turns commands into bytes and replies into tickets, first in, first out.

    Args:
        max_line: The longest line accepted, in bytes.
        max_bulk: The longest bulk accepted, in bytes.
        skip: Whether a longer one is skipped, and gives an `OversizedReply`, or ends the session.

    Attributes:
        state: Where the session is.
        greeting: What the server said first, once it is there.
        written: How many bytes the session has given out.
    """

    def __init__(
        self, *, max_line: int = MAX_LINE, max_bulk: int = MAX_BULK, skip: bool = False
    ) -> None:
        self.state = State.GREETING
        self.greeting: Greeting | None = None
        self.written = 0
        self._reader = ReplyReader(max_line=max_line, max_bulk=max_bulk, skip=skip)
        self._tickets: deque[Ticket] = deque()
        self._uninvited = False  # the reply that arrives was begun before any command was due

    @property
    def at_rest(self) -> bool:
        """Whether no command is unanswered, and no reply has begun that none asked for."""
        return self.state is State.READY and not self._reader.pending

    # -- sending ----------------------------------------------------------------------------

    def hello(self, identity: Identity, password: str | None) -> bytes:
        """Return the bytes of HELLO, which is due once the greeting is there.

        Raises:
            AuthenticationError: when the server asks for a password and none is given.
            ClientStateError: when HELLO is not due.
            ProtocolError: when the server asks for too many hash iterations.
        """
        if self.greeting is None:
            raise ClientStateError("HELLO before the greeting")
        line = Hello(self.greeting, identity, password).encode()
        self._begin(Event.HELLO)
        self.written += len(line)
        return line

    def send(self, commands: Sequence[Command[Any]]) -> tuple[bytes, Ticket]:
        """Return the bytes of the commands and the ticket for their replies.

        What raises here leaves no trace: the session goes on as before.

        Args:
            commands: At least one; END is none of them, see `end`.

        Raises:
            UsageError: when there is none, or one that cannot be sent intact.
            ClientStateError: before the handshake is done, or after the end.
        """
        data, ends = self._encoded(commands)
        if self.state is State.READY and self._reader.pending:
            self._uninvited = True
        self._begin(Event.COMMAND)
        self.written = ends[-1]
        ticket = Ticket(tuple(commands), ends)
        self._tickets.append(ticket)
        return data, ticket

    def _encoded(self, commands: Sequence[Command[Any]]) -> tuple[bytes, Sequence[int]]:
        """Return the commands' bytes, and where each of them ends among all bytes so far."""
        if len(commands) == 1:
            line = commands[0].encode()
            return line, (self.written + len(line),)
        lines = [command.encode() for command in commands]
        if not lines:
            raise UsageError("no command to send")
        return b"".join(lines), list(accumulate(map(len, lines), initial=self.written))[1:]

    def end(self, line: bytes) -> bytes:
        """Note that END leaves; the server will close without a reply.

        Raises:
            ClientStateError: unless the session is READY.
        """
        self._begin(Event.END)
        self.written += len(line)
        return line

    # -- receiving --------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take in what arrived; b"" is the end of the stream. After the end nothing counts.

        Raises:
            ProtocolError: for bytes that no Faktory sends; `maybe_executed` is False while the
                handshake lasts.
            FaktoryError: the server refused the HELLO, `maybe_executed` is False, or said
                goodbye with an error.
        """
        if self.state in _OVER:
            return
        if not data:
            self._move(Event.EOF)
            return
        try:
            for reply in self._reader.feed(data):
                self._arrived(reply)
            if self._reader.error is not None:
                raise copy.copy(self._reader.error)
        except FaktoryError as error:
            early = self.state in _HANDSHAKE
            self._move(Event.FAULT)
            if early and error.maybe_executed:
                raise ProtocolError(str(error), maybe_executed=False) from error
            raise

    def fail(self) -> None:
        """Give the session up: its replies can no longer be matched to commands."""
        self._move(Event.FAULT)

    def _arrived(self, reply: Reply) -> None:
        if self.state is State.BUSY and not self._uninvited:
            ticket = self._tickets[0]
            ticket.replies.append(reply)
            if len(ticket.replies) == len(ticket.commands):
                self._tickets.popleft()
            self.state = advance(self.state, Event.REPLY if self._tickets else Event.LAST_REPLY)
        elif self.state is State.GREETING:
            self.greeting = parse_greeting(reply)
            self._move(Event.HI)
        elif self.state is State.IDENTIFYING:
            self._hello_answered(reply)
        else:
            raise _unsolicited(reply)

    def _hello_answered(self, reply: Reply) -> None:
        if isinstance(reply, ErrorReply):
            self._move(Event.REFUSED)
            raise _unexecuted(refusal(reply.text, code=reply.code))
        expect_ok(Hello.verb, reply)
        self._move(Event.ACCEPTED)

    def _begin(self, event: Event) -> None:
        """Move on where the table allows it; a caller's mistake does not break the session."""
        after = TRANSITIONS.get((self.state, event))
        if after is None:
            raise ClientStateError(f"{event.name} while the session is {self.state.name}")
        self.state = after

    def _move(self, event: Event) -> None:
        self.state = advance(self.state, event)


def _unexecuted(error: FaktoryError) -> FaktoryError:
    if isinstance(error, ServerBusyError):
        return ServerBusyError(error.text, code=error.code, maybe_executed=False)
    return error


def _unsolicited(reply: Reply) -> FaktoryError:
    # Past its limit of connections the server accepts the HELLO and then sends one error.
    if isinstance(reply, ErrorReply):
        return refusal(reply.text, code=reply.code)
    return ProtocolError("the server sent a reply that nobody asked for")
