"""The edition, as an option of the server."""

import re

import pytest

from faktory_async.errors import UsageError
from faktory_async.server import EDITIONS, EmbeddedServer
from tests.net._loops import on_every_loop
from tests.server._wire import Dial, by_memory, by_tcp, connected

NEW = b'BATCH NEW {"success":{"jobtype":"a","args":[]}}'


@pytest.mark.parametrize("dial", [by_tcp, by_memory])
@on_every_loop
async def test_the_enterprise_edition_is_there_for_the_asking(dial: Dial) -> None:
    async with EmbeddedServer(edition="enterprise") as server, connected(server, dial) as wire:
        assert re.fullmatch(rb"\$\d+\r\nb-\w+\r\n", await wire.ask(NEW))
        first, second = await wire.ask(NEW), await wire.ask(NEW)
        assert first != second


@on_every_loop
async def test_the_free_edition_refuses_it() -> None:
    async with EmbeddedServer() as server, connected(server) as wire:
        assert await wire.ask(NEW) == (
            b"-ERR batch subsystem is only available in Faktory Enterprise\r\n"
        )


@pytest.mark.parametrize("edition", ["pro", "", "Enterprise"])
def test_an_edition_that_there_is_not_is_refused_by_name(edition: str) -> None:
    known = "there are 'oss' and 'enterprise'"
    with pytest.raises(UsageError, match=f"^{edition!r} is no edition of Faktory: {known}$"):
        EmbeddedServer(edition=edition)
    assert EDITIONS == ("oss", "enterprise")
