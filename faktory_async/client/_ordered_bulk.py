"""Many jobs on their way, stored in the order of their source.

The task that reads the source posts the frames itself, one behind the other, over one connection,
which it gives back when somebody waits for it.
"""

from faktory_async.client._bulk import Bulk, Out, told
from faktory_async.client._frames import Frame
from faktory_async.errors import (
    ConnectionLostError,
    FaktoryError,
    JobRejectedError,
    TooManyConnectionsError,
)
from faktory_async.net import Connection


class OrderedBulk(Bulk):
    """One `push_bulk` that keeps the order."""

    _connection: Connection | None = None  # the one in use
    _due = 0  # and how many replies are due on it
    _refusal: TooManyConnectionsError | None = None  # of it, with all that was sent

    async def _dispatch(self, frame: Frame) -> None:
        """Post the frame, once few enough are under way."""
        self._note(frame)
        while self._under_way >= self._in_flight:
            await self._one_ends()
        if not self._stopped:
            self._under_way += 1
            await self._post_next(frame)

    async def _post_next(self, frame: Frame) -> None:
        """Post the frame behind those before it, and let a task await the reply."""
        posted = False
        try:
            posted = bool(frame.jobs) and await self._posted(frame)
        except FaktoryError as error:
            self._fail(frame, list(frame.jobs), self._why(error))
        finally:
            if not posted:
                self._end(frame)
        if posted:
            self._group.start_soon(self._reply_in_order, frame)
        else:
            self._tell()

    async def _posted(self, frame: Frame) -> bool:
        """Hand the frame over; where the connection had died unnoticed, to another one."""
        resent = False
        while (connection := await self._line()) is not None:
            self._due += 1
            try:
                self._post(frame, list(frame.jobs), connection)
                await self._hand_over(frame)
            except BaseException as error:
                self._due -= 1
                self._release()
                lost = isinstance(error, ConnectionLostError) and not error.maybe_executed
                if resent or self._due or not lost:
                    raise
                resent = True
                self._counters.resends += len(frame.jobs)
            else:
                return True
        return False

    async def _line(self) -> Connection | None:
        """Return the connection that all frames take, a new one when others wait for it."""
        while self._due and self._pool.waiting:
            await self._one_ends()
        if self._connection is None:
            self._connection = await self._pool.take()
        if self._stopped:
            self._release()
            return None
        return self._connection

    def _release(self) -> None:
        """Give the connection back where no reply is due on it."""
        if not self._due and self._connection is not None:
            connection, self._connection = self._connection, None
            self._pool.put_back(connection)

    async def _reply_in_order(self, frame: Frame) -> None:
        jids = list(frame.jobs)
        connection = self._out[frame].connection
        try:
            await self._reply(frame)
        except JobRejectedError as error:  # apart, its good jobs would come after later ones
            frame.settle(jids, told(error))
        except FaktoryError as error:
            if (reason := self._why(error)) is self._refusal:
                connection.abort()  # the server is about to do so
            self._fail(frame, jids, reason)
        finally:
            self._due -= 1
            self._release()
            self._end(frame)
        self._tell()

    def _why(self, error: FaktoryError) -> FaktoryError:
        """Return why a frame failed: with a connection all that was sent over it is turned away.

        The task of the frame that the server told so may not have had its turn yet.
        """
        if isinstance(error, TooManyConnectionsError):
            self._refusal = error
        for out in self._out.values():
            if self._refusal is None and out.ticket.done:
                self._refusal = _refusal_of(out)
        return self._refusal or error


def _refusal_of(out: Out) -> TooManyConnectionsError | None:
    try:
        out.command.decode(out.ticket.replies[0])
    except TooManyConnectionsError as error:
        return error
    except FaktoryError:
        pass  # the frame's own task will see to it
    return None
