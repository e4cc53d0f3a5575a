"""How jobs are tested.

    cd examples && pytest test_jobs.py

The fixture `faktory` is a Faktory in memory for one test; there is nothing to configure.
"""

import pytest
from jobs import State, app, make_thumbnail, send_welcome

from faktory_async import JobContext, UnavailableError
from faktory_async.testing import Faktory


@pytest.mark.anyio
async def test_who_signs_up_will_get_a_mail(faktory: Faktory) -> None:
    async with app:
        await send_welcome.push("ada@example.org")
    faktory.assert_pushed(send_welcome, args=("ada@example.org",), queue="mail", count=1)


@pytest.mark.anyio
async def test_the_mail_is_sent(faktory: Faktory) -> None:
    async with app:
        await send_welcome.push("ada@example.org")
        await make_thumbnail.push(7)
    ran = await faktory.drain(app)
    assert {each.result for each in ran} == {None, "7-200.webp"}


@pytest.mark.anyio
async def test_a_handler_is_a_function() -> None:
    state = State()
    await send_welcome(JobContext.fake(state), "ada@example.org")
    assert state.sent == ["ada@example.org"]


@pytest.mark.anyio
async def test_an_outage_is_told(faktory: Faktory) -> None:
    async with app:
        with faktory.faults.refuse_connections(), pytest.raises(UnavailableError) as caught:
            await send_welcome.push("ada@example.org")
    assert not caught.value.maybe_executed
    faktory.assert_nothing_pushed()
