"""MUTATE kill of one job. Pure."""

from typing import ClassVar

import msgspec

from faktory_async.errors import ProtocolError
from faktory_async.protocol import OK, Command, Reply


class Kill(Command[None], frozen=True):
    """Move the jobs of one set that match a glob pattern to the dead set."""

    verb: ClassVar[bytes] = b"MUTATE"
    target: str
    pattern: str

    def payload(self) -> bytes:
        operation = {"cmd": "kill", "target": self.target, "filter": {"regexp": self.pattern}}
        # The server splits the line at spaces, those inside of JSON too.
        return msgspec.json.encode(operation).replace(b" ", rb"\u0020")

    def understand(self, reply: Reply) -> None:
        if reply != OK:
            raise ProtocolError("the server answered MUTATE with something else than OK")
