"""One connection to a server: the session's bytes over a link, split-phase.

`send` hands commands over and gives a ticket, `receive` awaits the ticket's replies. Between the
two anything may happen: other tasks send and receive too, and a `receive` that was cancelled is
taken up again, by anyone.
"""

import contextlib
import copy
import math
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import anyio

from faktory_async.errors import (
    CommandTimeoutError,
    ConnectError,
    ConnectionLostError,
    FaktoryError,
    ProtocolError,
    UsageError,
)
from faktory_async.net._failures import harmless, to_nobody, too_late, why_no_handshake, words
from faktory_async.net._link import NETWORK_ERRORS, Link
from faktory_async.net._native import Native
from faktory_async.protocol import PRODUCER, ClientSession, Command, End, Identity, State, Ticket

R = TypeVar("R")

_GOODBYE: Final = 1.0  # seconds that a close may take
_DRAIN: Final = 1.0  # seconds for the loop to hand over what the kernel already has
_OVER: Final = (State.CLOSED, State.BROKEN)
_NO_ROOM: Final = "the server took no more bytes in time"
_CUT: Final = "the connection was given up while sending"


class Connection:
    """A session over a link; made by `open`.

    Args:
        link: The open link; the connection owns it from now on.
        timeout: Seconds that a command may take where nothing else is said.
        session: The protocol's state, with limits of one's own.

    Attributes:
        unposted: Whether what was posted still has to be handed over.
        watching: Whether the link brings replies without a task that receives, see `watch`.
    """

    def __init__(self, link: Link, *, timeout: float, session: ClientSession | None = None) -> None:
        self._link = link
        self._timeout = timeout
        self._session = ClientSession() if session is None else session
        self._error: FaktoryError | None = None
        self._native = Native()
        self._posted = b""
        self.unposted = False
        self.watching = False
        self._sending = anyio.Lock(fast_acquire=True)
        self._reading: Ticket | None = None  # for which somebody reads
        self._wanted = 0  # replies of it
        self._pieces = 0
        self._news: anyio.Event | None = None  # for those who wait for the reader

    @classmethod
    async def open(
        cls,
        link: Link,
        *,
        identity: Identity = PRODUCER,
        password: str | None = None,
        timeout: float = 7.0,  # noqa: ASYNC109 - of the later commands, not of this call
        session: ClientSession | None = None,
    ) -> "Connection":
        """Shake hands over a link that was just opened.

        Bounded by the caller's scope. Cancelled or failing, the link is aborted.

        Raises:
            AuthenticationError: the password is wrong or missing.
            ConnectError: the peer ended the connection before it accepted the HELLO.
            ProtocolError: the peer is no Faktory. For all of them `maybe_executed` is False.
        """
        connection = cls(link, timeout=timeout, session=session)
        try:
            await connection._shake_hands(identity, password)
        except BaseException:
            connection.abort()
            with anyio.CancelScope(shield=True):
                await connection.aclose()
            raise
        return connection

    # -- what it is -------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether nothing is unanswered or half said, and the session is sound.

        Only then may it be reused.
        """
        return self._session.at_rest and self._error is None

    @property
    def usable(self) -> bool:
        """Whether a command may be sent now: idle, and not a byte or an end has come in since."""
        return self._session.at_rest and self._error is None and not self._link.readable()

    @property
    def closed(self) -> bool:
        """Whether no command can be sent any more."""
        return self._error is not None or self._session.state in _OVER

    @property
    def error(self) -> FaktoryError | None:
        """Why the connection was given up; None where it was not."""
        return self._error

    def __repr__(self) -> str:
        return f"<Connection {self._session.state.name.lower()}>"

    # -- one command ------------------------------------------------------------------------

    async def execute(self, command: Command[R], *, timeout: float | None = None) -> R:  # noqa: ASYNC109 - part of the answer's meaning, see `send`
        """Send one command and return the meaning of its reply.

        Args:
            command: What to send.
            timeout: Seconds for writing and reply; the connection's own by default.

        Raises:
            CommandTimeoutError: no reply in time; the connection is given up.
            ConnectionLostError: the connection ended first.
            ProtocolError: the reply makes no sense.
            ServerError: the server refused.

        Cancelled, the reply stays due: the connection is busy, and only `receive` of the same
        ticket could free it. Who cannot do that closes it.
        """
        ticket = await self.send([command], timeout=timeout)
        await self.receive(ticket)
        return command.decode(ticket.replies[0])

    # -- split-phase ------------------------------------------------------------------------

    async def send(
        self,
        commands: Sequence[Command[Any]],
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - bounds the reply too, beyond this call
        renewed: bool = False,
    ) -> Ticket:
        """Hand commands over, in one piece, and return the ticket for their replies.

        Args:
            commands: What to send, in order.
            timeout: Seconds from now for writing and for the last reply.
            renewed: Whether every piece of a reply renews that time.

        Raises:
            CommandTimeoutError: the bytes could not be handed over in time.
            ConnectionLostError: the connection is over. For both, `maybe_executed` is False where
                the first command's last byte surely stayed here, and with it all that follow.
            UsageError: there is no command.

        Cancelled while it waits for the commands of others to leave, nothing is sent; after that,
        the connection is given up, and what was not yet handed over never will be.
        """
        if not commands:
            raise UsageError("there is nothing to send")
        patience = self._timeout if timeout is None else timeout
        deadline = self._native.now() + patience
        ticket: Ticket | None = None
        with anyio.CancelScope(deadline=deadline) as scope:
            async with self._sending:
                data, ticket = self._issue(commands, patience, deadline)
                ticket.patience = patience if renewed else None
                await self._hand_over(data, ticket, scope)
                return ticket
        if ticket is None:
            raise too_late()
        raise self._failure(ticket)

    def post(
        self,
        commands: Sequence[Command[Any]],
        *,
        timeout: float | None = None,
        renewed: bool = False,
    ) -> Ticket:
        """Send commands without waiting, as far as the link can, and return their ticket.

        Where it cannot, `unposted` is True until `hand_over` has done it. With the ticket in hand
        before anything can be cancelled, whoever is cancelled can pass it on. For whoever has the
        connection to itself: unlike `send` it does not wait for the bytes of others.

        Args:
            commands: What to send, in order.
            timeout: Seconds from now for writing and for the last reply.
            renewed: Whether every piece of a reply renews that time.

        Raises:
            ConnectionLostError: the connection is over; see its `maybe_executed`.
        """
        patience = self._timeout if timeout is None else timeout
        data, ticket = self._issue(commands, patience, self._native.now() + patience)
        ticket.patience = patience if renewed else None
        try:
            if not self._link.start(data):
                self._posted, self.unposted = data, True
        except NETWORK_ERRORS as error:
            self._give_up(ConnectionLostError(f"the connection was lost: {words(error)}"))
            raise self._failure(ticket) from error
        return ticket

    def watch(self, ticket: Ticket) -> bool:
        """Have the link bring the replies without a task that receives them, where it can.

        The ticket's `heed` is called for them, and where they will not come: what has happened,
        `receive` tells. Whoever receives takes over. For whoever has the connection to itself.

        Args:
            ticket: What `post` returned.

        Returns:
            Whether the link does it. It is what `watching` says, until it ends.
        """
        if not self.unposted and self._reading is None:
            self.watching = self._link.listen(self._take_in, self._look_up, ticket.deadline)
            if self.watching:
                self._reading, self._wanted = ticket, len(ticket.commands)
        return self.watching

    async def hand_over(self, ticket: Ticket, *, shield: bool) -> None:
        """Hand over what was posted and the link could not take at once.

        Args:
            ticket: What `post` returned.
            shield: Whether a cancelled scope is to wait for the bytes, since they are others' too.

        Raises:
            CommandTimeoutError: the bytes could not be handed over in time.
            ConnectionLostError: the connection is over.

        Cancelled in spite of the shield, as a native cancellation does, the connection is given up.
        """
        data, self._posted, self.unposted = self._posted, b"", False
        with anyio.CancelScope(deadline=ticket.deadline, shield=shield) as scope:
            await self._hand_over(data, ticket, scope)
            return
        raise self._failure(ticket)

    def failure(self, ticket: Ticket) -> FaktoryError:
        """Return why a ticket is given up, and whether its command may be executed."""
        return self._failure(ticket)

    async def receive(self, ticket: Ticket) -> None:
        """Wait until every reply of the ticket is there.

        Args:
            ticket: What `send` or `post` returned.

        Raises:
            CommandTimeoutError: not in time; the connection is given up.
            ConnectionLostError: the connection ended first.
            ProtocolError: bytes that no Faktory sends. For all of them, `maybe_executed` speaks of
                the first command without a reply; what was answered stands in `ticket.replies`.

        Cancelled, nothing is lost: it can be called again, by another task too.
        """
        while len(ticket.replies) < len(ticket.commands):
            if not await self._progress(ticket, len(ticket.commands), ticket.deadline):
                await self._settle(ticket)

    # -- the end ----------------------------------------------------------------------------

    def abort(self) -> None:
        """End the connection now. Whoever waits for a reply gets a `ConnectionLostError`."""
        self._give_up(ConnectionLostError("the connection was closed"))

    async def aclose(self) -> None:
        """Say END where nothing is unanswered, and close, within a second.

        Cancelled, the connection is ended all the same.
        """
        freed = False
        try:
            with anyio.move_on_after(_GOODBYE), contextlib.suppress(*NETWORK_ERRORS):
                if self.idle:
                    await self._link.send(self._session.end(End().encode()))
                    freed = True  # the next line frees it in any case
                    await self._link.aclose()
        finally:
            self.abort()
            if not freed:
                with anyio.move_on_after(_GOODBYE), contextlib.suppress(*NETWORK_ERRORS):
                    await self._link.aclose()

    # -- inside -----------------------------------------------------------------------------

    async def _shake_hands(self, identity: Identity, password: str | None) -> None:
        try:
            while self._session.state is not State.READY:
                self._session.receive(await self._link.receive())
                if self._session.state is State.GREETED:
                    await self._link.send(self._session.hello(identity, password))
                elif self._session.state is State.CLOSED:
                    raise ConnectError(why_no_handshake(greeted=self._session.greeting is not None))
        except FaktoryError as error:
            if error.maybe_executed:
                raise harmless(error) from error
            raise
        except NETWORK_ERRORS as error:
            raise ConnectError(f"the connection was lost at once: {words(error)}") from error

    def _issue(
        self, commands: Sequence[Command[Any]], patience: float, deadline: float
    ) -> tuple[bytes, Ticket]:
        """Make the commands' bytes and their ticket; from here to their sending nobody may wait."""
        if self._error is not None:
            raise harmless(self._error) from self._error
        if self._session.state in _OVER:
            raise ConnectionLostError("the connection is closed", maybe_executed=False)
        if patience <= 0:
            raise too_late()
        data, ticket = self._session.send(commands)
        ticket.deadline = deadline
        return data, ticket

    async def _hand_over(self, data: bytes, ticket: Ticket, scope: anyio.CancelScope) -> None:
        try:
            await self._link.send(data)
        except NETWORK_ERRORS as error:
            self._give_up(ConnectionLostError(f"the connection was lost: {words(error)}"))
            raise self._failure(ticket) from error
        except BaseException:
            late = scope.cancel_called
            self._give_up(CommandTimeoutError(_NO_ROOM) if late else ConnectionLostError(_CUT))
            raise

    async def _progress(self, ticket: Ticket, wanted: int, deadline: float) -> bool:
        """Wait for so many replies of the ticket, or less where there is cause to look around.

        Returns:
            False where the deadline comes first.
        """
        if self._error is not None:
            raise self._failure(ticket)
        if self._reading is not None and not self.watching:
            with anyio.CancelScope(deadline=deadline):
                await self._read_by_another(ticket)
                return True
            return False
        self._reading, self._wanted, self.watching = ticket, wanted, False
        try:
            return await self._link.pump(self._take_in, deadline)
        except NETWORK_ERRORS as error:
            self._give_up(ConnectionLostError(f"the connection was lost: {words(error)}"))
            return True
        finally:
            if self._reading is ticket:  # and not yet somebody else's, see `_take_in`
                self._reading = None
            if self._news is not None:
                self._tell_others()

    async def _read_by_another(self, ticket: Ticket) -> None:
        """Wait until the one who reads has taken something in, or has gone."""
        pieces = self._pieces
        if self._news is None:
            self._news = anyio.Event()
        await self._news.wait()
        if ticket.patience is not None and self._pieces != pieces:
            self._renew(ticket, ticket.patience)

    def _tell_others(self) -> None:
        """Let those look around who wait for the one who reads."""
        if self._news is not None:
            self._news.set()
            self._news = None

    def _renew(self, ticket: Ticket, patience: float) -> None:
        """Move the deadline of a ticket that every piece of a reply moves."""
        ticket.deadline = self._native.now() + patience

    async def _settle(self, ticket: Ticket) -> None:
        """Come to an end when the time is over: take what is there already, or give up.

        A loop that was blocked may be late, not the server. So where pieces renew the deadline,
        those that have waited here do so too.
        """
        if ticket.done or (ticket.patience and self._native.now() < ticket.deadline):
            return
        pieces = self._pieces
        with anyio.move_on_after(_DRAIN):
            while self._link.readable() and not ticket.done:
                await self._progress(ticket, 0, math.inf)  # piece by piece
        if ticket.done:
            return
        if ticket.patience is not None and self._pieces != pieces and self._error is None:
            self._renew(ticket, ticket.patience)
        else:
            self._give_up(CommandTimeoutError("the server did not answer in time"))
            raise self._failure(ticket)

    def _take_in(self, data: bytes) -> bool:
        """Take in what has arrived; return whether the one who reads has to look at it."""
        self._pieces += 1
        if self._news is not None:
            self._tell_others()
        try:
            self._session.receive(data)
        except FaktoryError as error:
            self._give_up(to_nobody(error))
        if not data:
            self._give_up(ConnectionLostError("the server closed the connection"))
        ticket = self._reading
        if ticket is None:
            self._link.had_enough()
            return True
        if ticket.patience is not None:
            self._renew(ticket, ticket.patience)
        enough = self._error is not None or len(ticket.replies) >= self._wanted
        if enough:
            self._reading = None  # whoever heeds this may send the next command at once
            self.watching = False
            self._link.had_enough()
        if ticket.heed is not None:
            ticket.heed()
        return enough

    def _look_up(self) -> None:
        """Let somebody receive, since the link does not bring any more."""
        ticket, self._reading, self.watching = self._reading, None, False
        if ticket is None or (self._native.now() < ticket.deadline and self.watch(ticket)):
            return  # a piece of a reply had moved the deadline
        if ticket.heed is not None:
            ticket.heed()

    def _give_up(self, error: FaktoryError) -> None:
        """Remember why, and abort: only then is it sure that what stayed here never leaves."""
        if self._error is None:
            self._error = error.with_traceback(None)  # which knows us: a circle
            self._session.fail()
            self._link.abort()
            self._tell_others()

    def _failure(self, ticket: Ticket) -> FaktoryError:
        """The error of a ticket that is given up: what it was, and whether it can count."""
        error = self._error or ConnectionLostError("the connection is over")
        if isinstance(error, (CommandTimeoutError, ConnectionLostError, ProtocolError)):
            left = self._session.written - self._link.unsent()
            # With all of them there, and not looked at yet, everything was executed.
            executed = ticket.done or ticket.ends[len(ticket.replies)] <= left
            return type(error)(str(error), maybe_executed=executed)
        return copy.copy(error)
