"""Pushes that come together leave together, and nobody pays for another one's trouble."""

import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final

import anyio
import anyio.lowlevel
import pytest

from faktory_async import (
    ClientStateError,
    CommandTimeoutError,
    ConnectError,
    ConnectionLostError,
    Job,
    JobRejectedError,
    Limits,
    NotUniqueError,
    PoolTimeoutError,
    ProtocolError,
    ServerBusyError,
    Timeouts,
    TooManyConnectionsError,
)
from faktory_async.client._frames import MAX_BYTES
from faktory_async.client._waiter import Frame, Waiter
from faktory_async.net import MemoryLink, on_asyncio
from faktory_async.protocol import Ticket
from tests.client._setting import (
    BAD,
    HOW,
    ONE,
    TOO_MANY,
    Setting,
    after,
    bringing,
    ignore,
    quiet,
    setting,
    skip_native_on_trio,
    stalled_leader,
    stop_reading,
)
from tests.net._cancel import cancelled_at
from tests.worker.peer import OKAY, Line, bulk, jobs_of

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["read", "brought"], autouse=True)
def both_kinds_of_links(request: pytest.FixtureRequest) -> Generator[None]:
    token = bringing.set(request.param)
    yield
    bringing.reset(token)


# -- frames ---------------------------------------------------------------------------------------


async def test_a_lone_push_leaves_at_once() -> None:
    async with setting() as it:
        await it.client.push(Job("order", [1]))
        assert it.store.frames == [[1]]
        assert it.now == 0


async def test_jobs_gather_while_a_frame_is_on_its_way() -> None:
    async with setting() as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(*range(1, 23))
        gate.open()
        await quiet()
        assert it.store.frames == [[0], list(range(1, 23))]
        assert it.kinds(range(23)) == {None}
        assert it.peer.dials == 1


async def test_those_who_were_answered_together_push_together_again() -> None:
    async with setting() as it:
        gate = it.peer.hold("PUSHB", it.store)

        async def twice(number: int) -> None:
            await it.client.push(Job("order", [number]))
            await it.client.push(Job("order", [number + 10]))

        async with anyio.create_task_group() as group:
            await it.start(0)
            for number in range(1, 4):
                group.start_soon(twice, number)
            await quiet()
            gate.open()
        first, second, *rest = (sorted(frame) for frame in it.store.frames)
        assert (first, second) == ([0], [1, 2, 3])
        assert sorted(number for frame in rest for number in frame) == [11, 12, 13]
        # On trio whoever has read the reply may come before some of the others.
        assert len(rest) == 1 or (len(rest) == 2 and not on_asyncio())


async def test_a_leader_that_is_cancelled_while_others_come_leaves_them_its_slot() -> None:
    async with setting() as it:
        gate = it.peer.hold("PUSHB", it.store)
        scope = anyio.CancelScope()

        async def twice(number: int) -> None:
            await it.client.push(Job("order", [number]))
            with scope if number == 1 else anyio.CancelScope():
                if number == 1:
                    scope.cancel()
                await it.client.push(Job("order", [number + 10]))

        async with anyio.create_task_group() as group:
            await it.start(0)
            for number in range(1, 4):
                group.start_soon(twice, number)
                await anyio.lowlevel.checkpoint()
            await quiet()
            gate.open()
        first, second, *rest = (sorted(frame) for frame in it.store.frames)
        assert (first, second) == ([0], [1, 2, 3])
        again = sorted(number for frame in rest for number in frame)
        # On trio another one may lead, and take 11 along before that is told of its cancellation.
        assert again == [12, 13] or (again == [11, 12, 13] and not on_asyncio())


async def test_a_frame_has_at_most_1000_jobs() -> None:
    async with setting(limits=ONE) as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(*range(1, 2502))
        gate.open()
        await quiet()
        assert [len(frame) for frame in it.store.frames] == [1, 1000, 1000, 501]
        assert it.kinds(range(2502)) == {None}


async def test_a_frame_has_at_most_a_mebibyte() -> None:
    async with setting(limits=ONE) as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(*range(1, 10), size=300 * 1024)
        gate.open()
        await quiet()
        assert [len(frame) for frame in it.store.frames] == [1, 3, 3, 3]
        for line in it.peer.of("PUSHB"):
            assert len(line.payload) <= MAX_BYTES + 3 * 2


async def test_a_job_that_is_too_big_for_a_frame_has_one_of_its_own() -> None:
    async with setting(limits=ONE) as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(1)
        await it.start(2, size=MAX_BYTES)
        await it.start(3)
        gate.open()
        await quiet()
        assert it.store.frames == [[0], [1], [2], [3]]


async def test_a_frame_has_no_jid_twice() -> None:
    async with setting(limits=ONE) as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(1, jid="one-and-two")
        await it.start(2, jid="one-and-two")
        await it.start(3)
        gate.open()
        await quiet()
        assert it.store.frames == [[0], [1], [2, 3]]


async def test_one_tasks_pushes_keep_their_order_beside_others() -> None:
    async with setting() as it:
        mine: list[int] = []

        async def one_after_the_other() -> None:
            for number in range(1000, 1030):
                await it.client.push(Job("order", [number]))

        async with anyio.create_task_group() as group:
            group.start_soon(one_after_the_other)
            for start in range(0, 300, 50):
                await it.start(*range(start, start + 50))
        for frame in it.store.frames:
            mine += [number for number in frame if number >= 1000]
        assert mine == list(range(1000, 1030))


# -- further connections --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("worth", "count", "connections"),
    [(24, 22, 1), (24, 23, 2), (24, 200, 2), (None, 2, 1), (None, 3, 2)],
)
async def test_further_connections_are_dialled_for_so_many_jobs_each(
    worth: int | None, count: int, connections: int
) -> None:
    async with setting(worth=worth) as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(*range(1, count + 1))
        assert it.peer.dials == connections
        gate.open()


@pytest.mark.parametrize(("size", "connections"), [(31 * 1024, 1), (33 * 1024, 2)])
async def test_a_further_connection_is_dialled_for_64_kib(size: int, connections: int) -> None:
    async with setting() as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(1, 2, size=size)
        assert it.peer.dials == connections
        gate.open()


async def test_a_further_connection_is_dialled_when_the_frame_on_its_way_is_slow() -> None:
    async with setting() as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(1)
        assert it.peer.dials == 1
        await anyio.sleep(0.04)
        assert it.peer.dials == 1
        await anyio.sleep(0.02)
        assert it.peer.dials == 2
        assert it.outcomes[1] is None
        gate.open()


async def test_slow_means_several_times_the_round_trip() -> None:
    async with setting() as it:
        it.peer.answer("PUSHB", after(1, it.store))
        await it.client.push(Job("order", [0]))
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(1)
        await it.start(2)
        await anyio.sleep(3.9)
        assert it.peer.dials == 1
        await anyio.sleep(0.2)
        assert it.peer.dials == 2
        gate.open()


async def test_every_stall_dials_one_more_up_to_the_limit() -> None:
    async with setting(limits=Limits(max_connections=3)) as it:
        gates = [it.peer.hold("PUSHB", it.store) for _ in range(3)]
        await it.start(0)
        for number in (1, 2, 3):
            await it.start(number)
            await anyio.sleep(0.06)
        assert it.peer.dials == 3
        gates[1].open()
        await quiet()
        assert it.kinds([1, 3]) == {None}
        gates[0].open()
        gates[2].open()


async def test_leftovers_are_taken_as_soon_as_a_connection_lies_idle() -> None:
    async with setting(limits=Limits(max_connections=2)) as it:
        gates = [it.peer.hold("PUSHB", it.store) for _ in range(2)]
        await it.start(0)
        await it.start(*range(1, 25))  # on the second connection
        await it.start(*range(25, 30))  # too few for a third one, were it allowed
        gates[1].open()
        await quiet()
        assert it.kinds(range(1, 25)) == {None}
        gates[0].open()
        await quiet()
        assert it.kinds(range(30)) == {None}
        assert it.now == 0


async def test_many_jobs_are_spread_over_the_connections_at_once() -> None:
    async with setting(gates=1) as it:
        gates = [it.peer.hold("PUSHB", it.store) for _ in range(4)]
        await it.start(*range(1500))
        await it.dialler.open(0)
        await quiet()
        assert it.dialler.began == 4
        assert gates[1].reached.is_set()
        for each in gates:
            each.open()
        await quiet()
        assert list(map(len, it.store.frames)) == [375, 375, 375, 375]
        assert it.kinds(range(1500)) == {None}


async def test_an_idle_connection_is_used_at_once_while_another_one_is_stalled() -> None:
    async with setting() as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(1)
        await anyio.sleep(0.06)
        assert it.outcomes[1] is None
        for number in range(2, 10):
            await it.start(number)
            assert it.outcomes[number] is None
        assert it.now == pytest.approx(0.06)
        assert it.dialler.began == 2
        gate.open()


async def test_a_push_waits_its_turn_beside_others_that_use_the_pool() -> None:
    async with setting(limits=ONE) as it:
        gate = it.peer.hold("FLUSH")
        async with anyio.create_task_group() as group:
            group.start_soon(it.client.flush)
            await gate.reached.wait()
            await it.start(1, 2, 3)
            assert it.store.frames == []
            gate.open()
        await quiet()
        assert it.store.frames == [[1, 2, 3]]


async def test_a_connection_that_died_as_it_came_free_is_not_used() -> None:
    async with setting(limits=ONE) as it:

        async def last_words(line: Line) -> None:
            await line.connection.link.send(OKAY)

        gate = it.peer.hold("FLUSH", last_words)
        async with anyio.create_task_group() as group:
            group.start_soon(it.client.flush)
            await gate.reached.wait()
            await it.start(1, 2)
            gate.open()
        await quiet()
        assert it.kinds([1, 2]) == {None}
        assert it.peer.dials == 2


# -- outcomes -------------------------------------------------------------------------------------


async def test_each_caller_has_an_outcome_of_its_own() -> None:
    async with setting() as it:

        async def verdicts(line: Line) -> bytes:
            jids = {job["args"][0]: job["jid"] for job in jobs_of(line)}
            it.store.stored.update([4])
            return bulk(
                b'{"%b":"jobs must have an args parameter","%b":"NOTUNIQUE Job not unique",'
                b'"%b":"context deadline exceeded"}'
                % tuple(jids[number].encode() for number in (1, 2, 3))
            )

        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(1, 2, 3, 4)
        it.peer.answer("PUSHB", verdicts)
        gate.open()
        await quiet()
        assert [it.kinds([number]) for number in range(1, 5)] == [
            {JobRejectedError},
            {NotUniqueError},
            {ServerBusyError},
            {None},
        ]
        assert [it.failure(number).maybe_executed for number in (1, 2, 3)] == [False, False, True]


async def test_a_refusal_of_a_job_that_nobody_sent_proves_nothing_to_several() -> None:
    async with setting() as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(1, 2)
        it.peer.answer("PUSHB", bulk(b'{"":"jobs must have a reasonable jid parameter"}'))
        gate.open()
        await quiet()
        for number in (1, 2):
            assert isinstance(it.failure(number), ProtocolError)
            assert it.failure(number).maybe_executed is True
        assert it.outcomes[1] is not it.outcomes[2]


@pytest.mark.parametrize("guilty", [{7}, {1}, {99}, {3, 60}, set(range(1, 100))])
async def test_a_refused_frame_is_split_until_the_guilty_are_found(guilty: set[int]) -> None:
    async with setting() as it:
        it.store.bad = guilty
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(*range(1, 100))
        gate.open()
        await quiet()
        while "under way" in it.outcomes.values():
            await quiet()
        good = set(range(100)) - guilty
        assert it.kinds(guilty) == {JobRejectedError}
        assert it.kinds(good) == {None}
        assert it.store.stored == Counter(good)


async def test_who_leaves_while_a_refused_frame_is_split_takes_the_job_along() -> None:
    async with setting(limits=ONE) as it:
        it.store.bad = {4}
        gates = [it.peer.hold("PUSHB", it.store) for _ in range(3)]
        await it.start(0)
        await it.start(*range(1, 5))
        gates[0].open()
        await gates[1].reached.wait()
        gates[1].open()  # refused: now [1, 2] is on its way
        await gates[2].reached.wait()
        await it.cancel(2, 3)
        gates[2].open()
        await quiet()
        assert it.store.frames == [[0], [1, 2, 3, 4], [1, 2], [4]]
        assert it.kinds([1]) == {None}
        assert it.kinds([4]) == {JobRejectedError}


async def test_the_last_one_that_is_left_of_a_refused_frame_is_tried_alone() -> None:
    async with setting() as it:
        it.store.bad = {1}
        gates = [it.peer.hold("PUSHB", it.store) for _ in range(2)]
        await it.start(0)
        await it.start(1, 2)
        gates[0].open()
        await gates[1].reached.wait()
        await it.cancel(1)
        gates[1].open()
        await quiet()
        assert it.store.frames == [[0], [1, 2], [2]]
        assert it.kinds([2]) == {None}


async def test_a_push_with_a_timeout_that_ends_while_its_frame_is_split_was_not_stored() -> None:
    async with setting(limits=ONE) as it:
        it.store.bad = {1}
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(1)
        await it.start(2, within=2)
        gate.open()
        await quiet()
        assert it.store.frames == [[0], [1, 2], [1], [2]]
        it.peer.answer("PUSHB", after(1, it.store), ignore)
        await it.start(3)
        await it.start(1)
        await it.start(4, within=3)
        await anyio.sleep(1.5)
        assert it.outcomes[3] is None

    async with setting(limits=ONE) as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(1)
        await it.start(2, within=2)
        it.peer.answer("PUSHB", BAD, ignore)
        gate.open()
        await anyio.sleep(2.5)
        assert isinstance(it.failure(2), PoolTimeoutError)
        assert it.failure(2).maybe_executed is False
        assert it.ended_at[2] == pytest.approx(2, abs=0.1)


async def test_a_half_of_a_refused_frame_waits_no_longer_than_others() -> None:
    async with setting(limits=ONE, timeouts=Timeouts(pool=5, command=60)) as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(1, 2)
        it.peer.answer("PUSHB", BAD, after(20, it.store))
        await anyio.sleep(3)
        gate.open()
        await anyio.sleep(10)
        assert it.kinds([2]) == {PoolTimeoutError}
        assert it.ended_at[2] == pytest.approx(3 + 5, abs=0.1)


# -- dials ----------------------------------------------------------------------------------------


async def test_a_failed_dial_fails_everyone_who_was_there_when_it_began() -> None:
    async with setting(gates=2) as it:
        await it.start(1)
        await it.start(2, 3)
        await it.dialler.open(0, failing=True)
        assert it.kinds([1]) == {ConnectError}
        assert it.kinds([2, 3]) == {"under way"}
        assert it.dialler.began == 2
        await it.start(4)
        await it.dialler.open(1, failing=True)
        assert it.kinds([2, 3]) == {ConnectError}
        assert it.kinds([4]) == {None}
        assert it.dialler.began == 3
        assert not it.failure(2).maybe_executed
        assert it.outcomes[2] is not it.outcomes[3]


@pytest.mark.parametrize("connections", [1, 4])
async def test_5000_callers_dial_a_server_that_is_not_there_twice(connections: int) -> None:
    async with setting(limits=Limits(max_connections=connections)) as it:
        it.peer.refusing = True
        async with anyio.create_task_group() as group:
            for number in range(5_000):
                group.start_soon(it._push, number, None, 0, None)
        assert it.kinds(range(5_000)) == {ConnectError}
        assert it.dialler.began <= 2, "the first caller's own dial, and that of those behind it"
        assert it.now == 0
        it.peer.come_back()
        await it.start(5_000)
        assert it.kinds([5_000]) == {None}


async def test_a_mistake_in_a_dial_shows_for_who_made_it_and_fails_the_others() -> None:
    async with setting(gates=2) as it:
        it.dialler.error = ZeroDivisionError("a mistake")
        await it.start(1)
        await it.start(2, 3, 4)
        await it.dialler.open(0, failing=True)
        assert it.kinds([1]) == {"a mistake"}
        await it.dialler.open(1, failing=True)
        assert it.kinds([2]) == {"a mistake"}
        assert it.kinds([3, 4]) == {ConnectError}
        assert it.dialler.began == 2
        assert str(it.failure(3)) == "the dial failed: ZeroDivisionError('a mistake')"
        assert not it.failure(3).maybe_executed
        assert it.outcomes[3] is not it.outcomes[4]
        await it.start(5)
        assert it.kinds([5]) == {None}


async def test_a_mistake_in_a_further_dial_fails_nobody_else() -> None:
    async with setting(gates=2) as it:
        it.dialler.error = ZeroDivisionError("a mistake")
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.dialler.open(0)
        await it.start(*range(1, 25))
        await it.dialler.open(1, failing=True)
        await it.start(*range(25, 200))
        assert it.dialler.began == 2
        gate.open()
        await quiet()
        outcomes = [it.outcomes[number] for number in range(200)]
        assert outcomes.count("a mistake") == 1
        assert outcomes.count(None) == 199


async def test_a_failed_further_dial_fails_nobody_and_none_is_tried_for_a_second() -> None:
    async with setting(gates=2) as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.dialler.open(0)
        await it.start(*range(1, 25))
        assert it.dialler.began == 2
        await it.dialler.open(1, failing=True)
        await it.start(*range(25, 200))
        await anyio.sleep(0.9)
        assert it.dialler.began == 2
        assert it.kinds(range(200)) == {"under way"}
        await anyio.sleep(0.2)
        assert it.dialler.began > 2
        await quiet()
        assert it.kinds(range(1, 200)) == {None}
        gate.open()


async def test_a_further_dial_that_fails_at_the_limit_is_not_repeated_at_once() -> None:
    async with setting(gates=2, limits=Limits(max_connections=2)) as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.dialler.open(0)
        await it.start(*range(1, 200))  # one dials, and the others are in line for a slot
        await it.dialler.open(1, failing=True)
        assert it.dialler.began == 2
        gate.open()
        await quiet()
        assert it.dialler.began == 2
        assert it.kinds(range(200)) == {None}


async def test_a_further_dial_that_was_given_up_is_not_repeated_at_once_by_who_is_next() -> None:
    async with setting(gates=20) as it:
        await it.dialler.open(0)
        it.peer.answer("PUSHB", ignore)
        await it.start(0)
        await it.start(1)
        await anyio.sleep(0.06)
        await it.start(2)
        await anyio.sleep(0.06)
        assert it.dialler.began == 3, "for each of them, since the frame on its way is slow"
        await anyio.sleep(1)
        assert it.dialler.began == 3


async def test_where_dials_take_long_a_further_one_may_take_as_long() -> None:
    async with setting(gates=2) as it:
        it.peer.answer("PUSHB", ignore)
        await it.start(0)
        await anyio.sleep(0.4)
        await it.dialler.open(0)
        await it.start(1)
        await anyio.sleep(0.5)
        assert it.dialler.began == 2, "since the frame on its way is slow"
        await it.dialler.open(1)
        assert it.kinds([1]) == {None}


@pytest.mark.parametrize("at", ["HELLO", "PUSHB"])
async def test_too_many_connections_on_a_further_one_fails_nobody(at: str) -> None:
    async with setting() as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        it.peer.answer(at, OKAY + TOO_MANY if at == "HELLO" else TOO_MANY)
        await it.start(*range(1, 25))
        assert it.dialler.began == 2
        assert it.kinds(range(25)) == {"under way"}
        assert it.links == 1
        await it.start(*range(25, 300))
        assert it.dialler.began == 2
        gate.open()
        await quiet()
        assert [sorted(frame) for frame in it.store.frames] == [[0], list(range(1, 300))]


@pytest.mark.parametrize("how", ["dial", "reply"])
async def test_beside_a_connection_that_a_bulk_was_lent_a_failed_dial_fails_nobody(
    how: str,
) -> None:
    async with setting(gates=2) as it, anyio.create_task_group() as group:
        gate = it.peer.hold("PUSHB", it.store)
        group.start_soon(it.client.push_bulk, [Job("order", [0])])
        await it.dialler.open(0)
        await it.start(1, 2, 3)
        if how == "reply":
            it.peer.answer("PUSHB", TOO_MANY)
        await it.dialler.open(1, failing=how == "dial")
        await it.start(4)
        assert it.kinds(range(1, 5)) == {"under way"}
        assert it.dialler.began == 2
        gate.open()
        await quiet()
        assert it.store.frames == [[0], [1, 2, 3, 4]]


async def test_beside_a_lent_connection_that_is_lost_a_failed_dial_is_no_dead_end() -> None:
    async with setting(gates=2) as it, anyio.create_task_group() as group:
        gate = it.peer.hold("PUSHB", None)
        group.start_soon(it.client.push_bulk, [Job("order", [0])])
        await it.dialler.open(0)
        await it.start(1)
        await it.dialler.open(1, failing=True)
        assert it.kinds([1]) == {"under way"}
        gate.open()
        await quiet()
        assert it.kinds([1]) == {None}
        assert it.now < 1


async def test_too_many_connections_on_the_only_one_is_told() -> None:
    async with setting() as it:
        it.peer.answer("PUSHB", TOO_MANY)
        await it.start(1)
        assert it.kinds([1]) == {TooManyConnectionsError}
        assert it.failure(1).maybe_executed is False
        assert it.links == 0
        await it.start(2)
        assert it.kinds([2]) == {None}


async def test_after_a_failed_further_dial_the_last_connections_end_is_no_dead_end() -> None:
    async with setting(gates=2) as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.dialler.open(0)
        await it.start(*range(1, 25))
        await it.dialler.open(1, failing=True)
        gate.open()
        await quiet()
        it.peer.cut()
        await quiet()
        began = it.now
        await it.start(100)
        assert it.kinds([100]) == {None}
        assert it.now == began


async def test_a_connection_that_comes_free_is_used_in_spite_of_a_dial() -> None:
    async with setting(gates=2) as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.dialler.open(0)
        await it.start(*range(1, 25))
        assert it.client._pushes._dialling
        gate.open()
        await quiet()
        assert it.kinds([0, *range(2, 25)]) == {None}
        await anyio.sleep(0.14)
        assert it.kinds([1]) == {"under way"}, "it hopes for a connection of its own"
        await anyio.sleep(0.02)
        assert it.kinds([1]) == {None}
        assert it.client._pool.slots == 1, "the dial is given up"


async def test_a_whole_frame_that_waits_leaves_as_soon_as_another_is_answered() -> None:
    async with setting(worth=4, limits=Limits(max_connections=2)) as it:
        gates = [it.peer.hold("PUSHB", it.store) for _ in range(3)]
        await it.start(0)
        await it.start(1, 2, 3)
        await it.start(*range(4, 9))
        assert it.peer.dials == 2
        gates[0].open()
        await gates[2].reached.wait()
        assert it.outcomes[0] is None
        for gate in gates[1:]:
            gate.open()
            await quiet()
        sizes = [len(frame) for frame in it.store.frames]
        assert sizes == [1, 2, 4, 2], "9 pushes, by halves where so many wait"
        assert it.kinds(range(9)) == {None}


async def test_a_dial_may_not_take_long_any_more_once_there_is_a_connection() -> None:
    async with setting(gates=2) as it, anyio.create_task_group() as group:
        given_back = anyio.Event()

        async def borrow() -> None:
            async with it.client._pool.lease():
                await given_back.wait()

        group.start_soon(borrow)
        await quiet()
        await it.dialler.open(0)
        await it.start(1)  # which finds no other connection, and so may dial as long as it takes
        assert it.dialler.began == 2
        await anyio.sleep(1)
        given_back.set()
        await quiet()
        await it.start(2)
        assert it.outcomes[2] is None
        await anyio.sleep(0.14)
        assert it.kinds([1]) == {"under way"}
        await anyio.sleep(0.02)
        assert it.kinds([1]) == {None}


async def test_who_dials_leaves_by_its_own_connection() -> None:
    async with setting(gates=2) as it:
        gates = [it.peer.hold("PUSHB", it.store) for _ in range(2)]
        await it.start(0)
        await it.dialler.open(0)
        await it.start(*range(1, 25))
        gates[0].open()
        await gates[1].reached.wait()
        await it.start(*range(100, 110))
        assert it.kinds([1]) == {"under way"}
        await it.dialler.open(1)
        await quiet()
        assert it.outcomes[1] is None
        assert 1 in it.store.frames[1]
        gates[1].open()
        await quiet()
        assert it.kinds([*range(25), *range(100, 110)]) == {None}


async def test_a_slot_is_not_offered_to_one_that_holds_one() -> None:
    async with setting(gates=4) as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.dialler.open(0)
        await it.start(*range(1, 2_100))
        assert it.dialler.began == 4
        pushes = it.client._pushes
        holders = [each for each in pushes._line.pending if each.slot is not None]
        assert [holder.number for holder in holders] == [2, 3, 4]
        for number in (3, 2, 1):
            await it.dialler.open(number)
        await quiet()
        await anyio.sleep(0.06)  # the last few are worth a connection when the first frame is slow
        assert it.kinds(range(1, 2_100)) == {None}
        gate.open()


async def test_two_leaders_at_once_take_turns_without_harm() -> None:
    async with setting(limits=Limits(max_connections=2)) as it:
        gates = [it.peer.hold("PUSHB", it.store) for _ in range(2)]
        await it.start(0)
        await it.start(*range(1, 25))
        await it.start(*range(25, 300))
        for gate in gates:
            gate.open()
        await quiet()
        assert it.kinds(range(300)) == {None}


# -- time -----------------------------------------------------------------------------------------

STUCK: Final[dict[str, Any]] = {"limits": ONE, "timeouts": Timeouts(pool=5, command=60, connect=30)}


async def test_by_default_a_push_waits_5_s_for_a_connection() -> None:
    async with setting(limits=ONE) as it:
        it.peer.answer("PUSHB", ignore)
        await it.start(0, within=20)
        await it.start(1)
        await anyio.sleep(6)
        assert it.kinds([1]) == {PoolTimeoutError}
        assert it.failure(1).maybe_executed is False
        assert it.ended_at[1] == pytest.approx(5, abs=0.01)


async def test_everybody_in_line_is_told_on_time() -> None:
    async with setting(**STUCK) as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        for number in range(1, 6):
            await it.start(number)
            await anyio.sleep(0.5)
        await it.cancel(1, 3)
        await anyio.sleep(10)
        assert it.kinds([2, 4, 5]) == {PoolTimeoutError}
        for number in (2, 4, 5):
            expected = 5 + (number - 1) * 0.5
            assert it.ended_at[number] == pytest.approx(expected, abs=0.01)
        gate.open()


async def test_one_with_more_patience_in_front_makes_nobody_wait() -> None:
    async with setting(**STUCK) as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(1, within=30)
        await it.start(2)
        await it.start(3, within=2)
        await anyio.sleep(10)
        assert it.kinds([2, 3]) == {PoolTimeoutError}
        assert it.ended_at[2] == pytest.approx(5, abs=0.01)
        assert it.ended_at[3] == pytest.approx(2, abs=0.01)
        gate.open()
        await quiet()
        assert it.kinds([0, 1]) == {None}


async def test_one_that_dials_in_front_makes_nobody_wait() -> None:
    async with setting(gates=1, **STUCK) as it:
        await it.start(1)
        await anyio.sleep(1)
        await it.start(2)
        await anyio.sleep(1)
        await it.start(3)
        await anyio.sleep(10)
        assert it.kinds([2, 3]) == {PoolTimeoutError}
        assert it.ended_at[2] == pytest.approx(6, abs=0.01)
        assert it.ended_at[3] == pytest.approx(7, abs=0.01)
        assert it.kinds([1]) == {"under way"}, "dialling has a time of its own"
        await it.dialler.open(0)
        assert it.kinds([1]) == {None}


async def test_one_that_takes_over_keeps_the_time() -> None:
    async with setting(gates=1, **STUCK) as it:
        await it.start(1, within=2)
        await it.start(2)
        it.dialler.gates.append(anyio.Event())
        await anyio.sleep(1)
        await it.start(3)
        await anyio.sleep(10)
        assert it.kinds([1, 3]) == {PoolTimeoutError}
        assert it.ended_at[1] == pytest.approx(2, abs=0.01)
        assert it.ended_at[3] == pytest.approx(6, abs=0.01)
        await it.dialler.open(1)
        assert it.kinds([2]) == {None}


async def test_one_whose_dial_was_given_up_keeps_the_time_for_those_behind_it() -> None:
    async with setting(gates=20) as it:
        await it.dialler.open(0)
        it.peer.answer("PUSHB", ignore)
        await it.start(0, within=100)
        await anyio.sleep(0.2)
        await it.start(1, size=65 * 1024)  # dials at once, and has waited for nothing before
        await anyio.sleep(0.14)
        await it.start(2)
        await anyio.sleep(10)
        assert it.kinds([1, 2]) == {PoolTimeoutError}
        for number in (1, 2):  # or a little later, where it dials once more just then
            assert it.ended_at[number] == pytest.approx(5.3, abs=0.2)
        await it.cancel(0)


async def test_a_leader_that_has_to_wait_once_more_keeps_the_time_for_those_behind_it() -> None:
    async with setting(gates=1, **STUCK) as it:
        dying(it, 1)
        await it.start(1, size=MAX_BYTES // 2)
        async with anyio.create_task_group() as group:
            group.start_soon(lend, it, 20.0)
            await quiet()
            await it.start(2, 3, size=MAX_BYTES // 2)
            await it.dialler.open(0)
        assert it.kinds([1, 2, 3]) == {PoolTimeoutError}
        for number in (1, 2, 3):
            assert it.ended_at[number] == pytest.approx(5, abs=0.01)


async def lend(it: Setting, seconds: float) -> None:
    """Hold a connection of the pool for so long."""
    async with it.client._pool.lease():
        await anyio.sleep(seconds)


async def test_a_timeout_bounds_a_dial_that_others_need() -> None:
    async with setting(gates=1) as it:
        await it.start(1, within=1)
        await it.start(2)
        await anyio.sleep(1.5)
        assert it.kinds([1]) == {PoolTimeoutError}
        assert it.failure(1).maybe_executed is False
        assert it.kinds([2]) == {None}
        assert it.dialler.began == 2


async def test_a_timeout_bounds_the_reply_for_one_alone() -> None:
    async with setting() as it:
        it.peer.answer("PUSHB", ignore)
        await it.start(0)
        await it.start(1, 2, within=30)
        await it.client.push(Job("order", [3]), timeout=1)
        await anyio.sleep(1)

    async with setting(limits=ONE) as it:
        gates = [it.peer.hold("PUSHB", it.store) for _ in range(2)]
        await it.start(0)
        await it.start(1, within=1)
        await it.start(2)
        gates[0].open()
        await anyio.sleep(2)
        assert it.kinds([1]) == {CommandTimeoutError}
        assert it.failure(1).maybe_executed is True
        assert it.ended_at[1] == pytest.approx(1, abs=0.01)
        assert it.kinds([2]) == {"under way"}
        gates[1].open()
        await quiet()
        assert it.kinds([2]) == {None}


async def test_a_timeout_longer_than_usual_is_nobody_elses() -> None:
    async with setting(limits=ONE) as it:
        it.peer.answer("PUSHB", it.store, after(20, it.store))
        gate = it.peer.hold("FLUSH")
        async with anyio.create_task_group() as group:
            group.start_soon(it.client.flush)
            await gate.reached.wait()
            await it.start(0)
            await it.start(1, 2)
            await it.start(3, 4, within=30)
            it.peer._scripts["PUSHB"].popleft()
            gate.open()
        await anyio.sleep(10)
        assert it.kinds([0, 1, 2]) == {CommandTimeoutError}
        for number in (0, 1, 2):
            assert it.failure(number).maybe_executed is True
            assert it.ended_at[number] == pytest.approx(7, abs=0.01)
        assert it.kinds([3, 4]) == {"under way"}
        await anyio.sleep(20)
        assert it.kinds([3, 4]) == {None}
        assert it.dialler.began == 1


class Slow(MemoryLink):
    """A link that takes everything and hands it on when it is told to, as asyncio's do."""

    def __init__(self, inner: MemoryLink) -> None:
        super().__init__(inner._incoming, inner._outgoing)
        self.stalled = False
        self.held = b""

    def start(self, data: bytes) -> bool:
        if self._outgoing.broken:
            raise BrokenPipeError("it is over")
        self.held += data
        if not self.stalled:
            self.release()
        return True

    def release(self) -> None:
        self._outgoing.data += self.held
        self.held = b""
        self._outgoing.changed()

    def unsent(self) -> int:
        return len(self.held)


def slowed(it: Setting) -> list[Slow]:
    """Make the client's links hand on what they are given only when they are told to."""
    dial, links = it.dialler._peer.dial, list[Slow]()

    async def slow_dial() -> MemoryLink:
        links.append(Slow(await dial()))
        return links[-1]

    it.dialler._peer.dial = slow_dial  # type: ignore[method-assign]
    return links


async def test_a_timeout_says_unknown_while_the_bytes_can_still_leave() -> None:
    async with setting() as it:
        links = slowed(it)
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(1, within=1)
        await it.start(2)
        links[0].stalled = True
        gate.open()
        await anyio.sleep(2)
        assert it.kinds([1]) == {CommandTimeoutError}
        assert it.failure(1).maybe_executed is True
        links[0].release()
        await quiet()
        assert it.store.stored[1] == 1
        assert it.kinds([2]) == {None}


async def test_a_timeout_says_not_stored_when_the_bytes_never_leave() -> None:
    async with setting() as it:
        links = slowed(it)
        await it.start(0)
        links[0].stalled = True
        await it.start(1, within=1)
        await anyio.sleep(2)
        assert it.kinds([1]) == {CommandTimeoutError}
        assert it.failure(1).maybe_executed is False
        await it.start(2)
        assert it.kinds([2]) == {None}


# -- connections that die -------------------------------------------------------------------------


class Dying(Slow):
    """A link that refuses to send, once it is told to."""

    dead = False

    def start(self, data: bytes) -> bool:
        if self.dead:
            self.held = data
            raise ConnectionResetError("gone")
        return super().start(data)


def dying(it: Setting, count: int) -> list[Dying]:
    """Let the first connections die when something is pushed."""
    dial, links = it.dialler._peer.dial, list[Dying]()

    async def dial_to_die() -> MemoryLink:
        links.append(Dying(await dial()))
        return links[-1]

    async def hello(line: Line) -> bytes:
        links[line.connection.number].dead = True
        return OKAY

    it.dialler._peer.dial = dial_to_die  # type: ignore[method-assign]
    it.peer.answer("HELLO", *[hello] * count)
    return links


async def test_what_a_dead_connection_did_not_take_is_sent_again_on_another_one() -> None:
    async with setting(gates=1) as it:
        dying(it, 1)
        await it.start(*range(10))
        await it.dialler.open(0)
        assert it.kinds(range(10)) == {None}
        assert it.store.frames == [list(range(10))]
        assert it.dialler.began == 2


async def test_nothing_is_sent_again_twice() -> None:
    async with setting(gates=1) as it:
        dying(it, 2)
        await it.start(*range(10))
        await it.dialler.open(0)
        assert it.kinds(range(10)) == {ConnectionLostError}
        assert not it.failure(3).maybe_executed
        assert it.dialler.began == 2
        assert it.store.frames == []
        await it.start(10)
        assert it.kinds([10]) == {None}


async def test_each_job_is_sent_again_once_whoever_it_is_with() -> None:
    async with setting(gates=3) as it:
        dying(it, 2)
        await it.start(*range(5))
        await it.dialler.open(0)  # dies; now those five dial again
        assert it.dialler.began == 2
        await it.start(*range(5, 10))
        await it.dialler.open(1)  # dies as well
        assert it.kinds(range(5)) == {ConnectionLostError}
        assert it.kinds(range(5, 10)) == {"under way"}
        await it.dialler.open(2)
        assert it.kinds(range(5, 10)) == {None}


async def test_who_waits_once_more_is_told_on_time_too() -> None:
    async with setting(gates=2, **STUCK) as it:
        dying(it, 1)
        await it.start(1, 2, 3)
        await it.dialler.open(0)
        assert it.dialler.began == 2
        await anyio.sleep(6)
        assert it.kinds([2, 3]) == {PoolTimeoutError}
        assert it.ended_at[3] == pytest.approx(5, abs=0.01)
        await it.dialler.open(1)
        assert it.kinds([1]) == {None}


async def test_what_may_have_arrived_is_not_sent_again() -> None:
    async with setting() as it:
        it.peer.answer("PUSHB", None)
        await it.start(1)
        assert it.kinds([1]) == {ConnectionLostError}
        assert it.failure(1).maybe_executed is True
        assert it.dialler.began == 1


# -- cancellation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("how", HOW)
async def test_one_that_is_cancelled_while_it_dials_takes_only_its_own_job_along(
    how: str, anyio_backend: tuple[str, Any]
) -> None:
    skip_native_on_trio(how, anyio_backend)
    async with setting(gates=1) as it:
        await it.start(1, 2, 3)
        await it.cancel(1, how=how)
        assert it.store.frames == [[2, 3]]
        assert it.kinds([1]) == {"cancelled"}
        assert it.kinds([2, 3]) == {None}


@pytest.mark.parametrize("how", HOW)
async def test_one_that_is_cancelled_while_it_waits_takes_only_its_own_job_along(
    how: str, anyio_backend: tuple[str, Any]
) -> None:
    skip_native_on_trio(how, anyio_backend)
    async with setting() as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(1, 2, 3)
        await it.cancel(1, 3, how=how)
        gate.open()
        await quiet()
        assert it.store.frames == [[0], [2]]


@pytest.mark.parametrize("how", HOW)
async def test_a_leader_that_is_cancelled_while_it_reads_hands_the_reading_on(
    how: str, anyio_backend: tuple[str, Any]
) -> None:
    skip_native_on_trio(how, anyio_backend)
    async with setting() as it:
        gates = [it.peer.hold("PUSHB", it.store) for _ in range(2)]
        await it.start(0)
        await it.start(1, 2, 3, 4)
        gates[0].open()
        await gates[1].reached.wait()
        await it.cancel(1, how=how)
        await it.cancel(2, how=how)
        assert it.kinds([1, 2]) == {"cancelled"}
        gates[1].open()
        await quiet()
        assert it.kinds([3, 4]) == {None}
        assert it.store.frames == [[0], [1, 2, 3, 4]]
        assert it.dialler.began == 1


@pytest.mark.parametrize("how", HOW)
async def test_a_follower_that_is_cancelled_leaves_its_job_in_the_frame(
    how: str, anyio_backend: tuple[str, Any]
) -> None:
    skip_native_on_trio(how, anyio_backend)
    async with setting() as it:
        gates = [it.peer.hold("PUSHB", it.store) for _ in range(2)]
        await it.start(0)
        await it.start(1, 2, 3)
        gates[0].open()
        await gates[1].reached.wait()
        await it.cancel(3, how=how)
        gates[1].open()
        await quiet()
        assert it.kinds([1, 2]) == {None}
        assert it.store.stored[3] == 1


@pytest.mark.parametrize("how", HOW)
async def test_when_everybody_in_a_frame_is_cancelled_its_connection_is_closed(
    how: str, anyio_backend: tuple[str, Any]
) -> None:
    skip_native_on_trio(how, anyio_backend)
    async with setting() as it:
        gates = [it.peer.hold("PUSHB", it.store) for _ in range(2)]
        await it.start(0)
        await it.start(1, 2, 3)
        gates[0].open()
        await gates[1].reached.wait()
        await it.cancel(2, 1, 3, how=how)
        assert it.links == 0
        await it.start(4)
        assert it.kinds([4]) == {None}
        assert it.dialler.began == 2


async def test_a_cancelled_leader_is_held_while_the_bytes_of_others_leave() -> None:
    async with setting(room=300, limits=ONE) as it:
        go_on = await stalled_leader(it, 2, 3)
        await it.cancel(1)
        assert it.kinds([1]) == {"under way"}
        go_on()
        await quiet()
        assert it.kinds([1]) <= {"cancelled", None}
        assert it.kinds([2, 3]) == {None}
        assert it.dialler.began == 1


async def test_a_cancelled_leader_that_is_alone_leaves_at_once() -> None:
    async with setting(room=100, limits=ONE) as it:
        await stalled_leader(it)
        await it.cancel(1)
        assert it.kinds([1]) == {"cancelled"}
        assert it.links == 0


async def test_a_natively_cancelled_leader_leaves_at_once_and_the_others_jobs_go_again(
    anyio_backend: tuple[str, Any],
) -> None:
    skip_native_on_trio("task", anyio_backend)
    async with setting(room=300, limits=ONE) as it:
        await stalled_leader(it, 2, 3)
        await it.cancel(1, how="task")
        assert it.kinds([1]) == {"cancelled"}
        await quiet()
        assert it.kinds([2, 3]) == {None}
        assert it.store.frames == [[0], [2, 3]]
        assert it.dialler.began == 2


async def test_bytes_that_are_not_taken_fail_the_frame_in_time() -> None:
    async with setting(room=300, limits=ONE) as it:
        await stalled_leader(it, 2, 3)
        await anyio.sleep(8)
        assert it.kinds([1, 2, 3]) == {CommandTimeoutError}
        assert not it.failure(2).maybe_executed
        assert it.ended_at[2] == pytest.approx(7, abs=0.01)


async def test_a_leader_with_a_time_of_its_own_is_not_held_by_the_bytes_of_others() -> None:
    async with setting(room=300, limits=ONE) as it:
        go_on = await stalled_leader(it, 2, 3, within=1)
        await anyio.sleep(2)
        assert it.kinds([1]) == {CommandTimeoutError}
        assert it.ended_at[1] == pytest.approx(1, abs=0.01)
        assert it.kinds([2, 3]) == {"under way"}
        go_on()
        await quiet()
        assert it.kinds([2, 3]) == {None}
        assert it.dialler.began == 1


async def test_bytes_that_have_long_to_leave_hold_nobody_who_did_not_ask_for_that() -> None:
    async with setting(room=300, limits=ONE) as it:
        go_on = await stalled_leader(it, 2, 3, within=60)
        await anyio.sleep(30)
        assert it.kinds([2, 3]) == {CommandTimeoutError}
        assert it.ended_at[2] == it.ended_at[3] == pytest.approx(7, abs=0.01)
        assert it.kinds([1]) == {"under way"}
        go_on()
        await quiet()
        assert it.kinds([1]) == {None}


async def test_where_all_have_a_time_of_their_own_the_last_one_hands_the_bytes_over() -> None:
    async with setting(room=300, limits=ONE) as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        stop_reading(it, 0)
        await it.start(1, size=200, within=1)
        await it.start(2, size=200, within=3)
        await it.start(3, size=200, within=2)
        gate.open()
        await anyio.sleep(4)
        assert it.kinds([1, 2, 3]) == {CommandTimeoutError}
        assert [it.ended_at[number] for number in (1, 2, 3)] == [
            pytest.approx(seconds, abs=0.01) for seconds in (1, 3, 2)
        ]
        assert it.links == 0


@pytest.mark.parametrize("how", HOW)
async def test_where_who_was_to_hand_the_bytes_over_leaves_first_the_next_one_does(
    how: str, anyio_backend: tuple[str, Any]
) -> None:
    skip_native_on_trio(how, anyio_backend)
    async with setting(room=300, limits=ONE) as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        go_on = stop_reading(it, 0)
        await it.start(1, size=200, within=1)
        await it.start(2, 3, size=200)

        def leave() -> None:
            [frame] = [each for each in it.client._pushes._frames if each.connection.unposted]
            [patient] = [each for each in frame.waiters if each.duty is frame]
            assert patient.number == 3  # the third push: it has the most time
            cancelled.append(patient.number)

        cancelled: list[int] = []
        hand_over = it.client._pushes._hand_over

        async def handing(waiter: Waiter, frame: Frame, ticket: Ticket) -> None:
            await hand_over(waiter, frame, ticket)
            if cancelled:
                return
            leave()
            if how == "scope":
                it._scopes[2].cancel()
            else:
                it._tasks[2].cancel()

        it.client._pushes._hand_over = handing  # type: ignore[method-assign]  # to strike in between
        gate.open()
        await quiet()
        assert cancelled == [3]
        go_on()
        await quiet()
        assert it.kinds([2]) <= {"cancelled", None}
        assert it.kinds([1, 3]) == {None}


# -- the end --------------------------------------------------------------------------------------


async def test_closing_refuses_new_pushes_and_waits_for_those_under_way() -> None:
    async with setting() as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(1, 2)
        async with anyio.create_task_group() as group:
            group.start_soon(it.client.aclose)
            await quiet()
            with pytest.raises(ClientStateError, match="the client is closed"):
                await it.client.push(Job("order", [3]))
            assert it.kinds([0, 1, 2]) == {"under way"}
            gate.open()
        assert it.kinds([0, 1, 2]) == {None}
        assert it.links == 0


async def test_closing_takes_no_longer_than_the_pushes_may() -> None:
    async with setting(limits=ONE) as it:
        it.peer.always("PUSHB", ignore)
        await it.start(0)
        await anyio.sleep(3)
        await it.start(1)
        await it.client.aclose()
        assert it.now == pytest.approx(3 + 4 + 7, abs=0.1)
        assert it.kinds([0, 1]) == {CommandTimeoutError}
        assert it.links == 0


async def test_closing_that_is_cancelled_ends_idle_connections_and_leaves_the_pushes_alone() -> (
    None
):
    async with setting(limits=ONE) as it:
        gate = it.peer.hold("PUSHB", it.store)
        await it.start(0)
        await it.start(1)
        with anyio.move_on_after(1):
            await it.client.aclose()
        assert it.now == pytest.approx(1, abs=0.01)
        gate.open()
        await anyio.sleep(6)
        assert it.kinds([0]) == {None}
        assert it.kinds([1]) == {PoolTimeoutError}
        assert it.links == 0
        assert not it.client._pool._dead, "what they left behind is freed"


# -- every step -----------------------------------------------------------------------------------


async def fresh(it: Setting) -> None:
    """Nothing is there yet."""


async def warm(it: Setting) -> None:
    """A connection lies idle."""
    await it.client.push(Job("order", ["warm"]))


async def refused(it: Setting) -> None:
    """One job spoils its frame."""
    await warm(it)
    it.store.bad = {3}


async def cut(it: Setting) -> None:
    """The second frame's connection breaks."""
    await warm(it)
    it.peer.answer("PUSHB", it.store, None)


async def dead(it: Setting) -> None:
    """The first two connections break before they take anything."""
    dying(it, 2)


async def slow(it: Setting) -> None:
    """The server answers late, and so a further connection is dialled."""
    it.peer.answer("PUSHB", *[after(0.1, it.store)] * 3)


SCENES: Final = [fresh, warm, refused, cut, dead, slow]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("room", [150, 1 << 20])
@pytest.mark.parametrize("scene", SCENES)
async def test_whoever_is_cancelled_at_any_step_costs_nobody_anything(
    scene: Callable[[Setting], Awaitable[None]],
    room: int,
    how: str,
    anyio_backend: tuple[str, Any],
) -> None:
    skip_native_on_trio(how, anyio_backend)
    for victim in range(6):
        turn = 0
        while turn == 0 or await cancelled_in(scene, room, victim, turn, how):
            turn += 1
        assert turn > 1


async def cancelled_in(
    scene: Callable[[Setting], Awaitable[None]], room: int, victim: int, turn: int, how: str
) -> bool:
    """Play a scene, cancel one push at a step, and tell whether it came so far."""
    reached = False

    async def strike(it: Setting) -> None:
        nonlocal reached
        reached = await cancelled_at(pushed(it, victim), turn, how)

    limits = Limits(max_connections=2)
    async with setting(room=room, limits=limits) as it:
        await scene(it)
        async with anyio.create_task_group() as group:
            for number in range(6):
                if number == victim:
                    group.start_soon(strike, it)
                else:
                    group.start_soon(pushed, it, number)
                await anyio.lowlevel.checkpoint()
        others = [number for number in range(6) if number != victim]
        expected = {JobRejectedError, ConnectionLostError}
        assert {it.outcomes[number] for number in others} <= {None} or (
            it.kinds(others) - {None} <= expected and scene in (refused, cut, dead)
        )
        assert it.now < 1
    return reached


async def pushed(it: Setting, number: int) -> None:
    await it._push(number, None, 60, None)


# -- what is left ---------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [BAD, None, ignore, after(3, ignore)])
async def test_nothing_of_a_push_is_left_to_the_garbage_collector(answer: Any) -> None:
    gc.collect()
    gc.disable()
    try:
        async with setting(timeouts=Timeouts(command=2)) as it:
            it.peer.always("PUSHB", answer)
            await it.start(0)
            await it.start(1, 2, 3)
            await it.start(4, within=1)
            await it.cancel(3)
            await anyio.sleep(10)
            assert "under way" not in it.outcomes.values()
            it.outcomes.clear()  # an error knows who raised it
            left = [each for each in gc.get_objects() if isinstance(each, Waiter | Frame)]
            assert left == []
    finally:
        gc.enable()
