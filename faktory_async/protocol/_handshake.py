"""The greeting, who we are, and the password's hash."""

import hashlib
import re
from typing import Final

import msgspec
from msgspec import Struct

from faktory_async.errors import AuthenticationError, ProtocolError, UsageError
from faktory_async.protocol._json import UNREADABLE
from faktory_async.protocol._reply import Reply, SimpleReply, shown

VERSION: Final = 2
# The server asks for 4,000 to 8,100; a hostile one could otherwise keep a core busy for hours.
MAX_ITERATIONS: Final = 100_000

_HI: Final = "HI "
# The server repeats the wid in errors as it came: a line break would end that error early.
_WID: Final = re.compile(r"[!-~]+")


class Greeting(Struct, frozen=True):
    """What the server says first.

    Attributes:
        version: The protocol's version, 2 today.
        iterations: How often the password is hashed; 1 where nothing is said.
        salt: What is hashed with the password; None where no password is asked for.
    """

    version: int = msgspec.field(name="v", default=VERSION)
    iterations: int = msgspec.field(name="i", default=1)
    salt: str | None = msgspec.field(name="s", default=None)


class Identity(Struct, frozen=True, kw_only=True):
    """Who says HELLO.

    Attributes:
        wid: The worker's id, printable ASCII without spaces; None for a producer, which never
            has to BEAT.
        hostname: Where the process runs, for the server's list of workers.
        pid: Its process id.
        labels: Words that the server shows beside the worker.
        username: Sent when given; the server ignores it.
    """

    wid: str | None = None
    hostname: str | None = None
    pid: int | None = None
    labels: tuple[str, ...] = ()
    username: str | None = None

    def __post_init__(self) -> None:
        if self.wid is not None:
            check_wid(self.wid)


def check_wid(wid: str) -> None:
    """Refuse an id that no worker should have.

    Raises:
        UsageError: when it is empty or not printable ASCII without spaces.
    """
    if not _WID.fullmatch(wid):
        raise UsageError(f"{wid!r} is no wid: use printable ASCII without spaces")


PRODUCER: Final = Identity()

_greeting = msgspec.json.Decoder(Greeting)


def parse_greeting(reply: Reply) -> Greeting:
    """Read `+HI {…}`.

    Raises:
        ProtocolError: when the peer does not greet as a Faktory does; `maybe_executed` is False.
    """
    if not isinstance(reply, SimpleReply) or not reply.text.startswith(_HI):
        raise ProtocolError(
            f"the peer does not greet as a Faktory does: {shown(reply)} is no +HI",
            maybe_executed=False,
        )
    try:
        return _greeting.decode(reply.text[len(_HI) :])
    except UNREADABLE as error:
        raise ProtocolError(
            f"the server's greeting cannot be read: {error}", maybe_executed=False
        ) from error


def password_hash(password: str, salt: str, iterations: int) -> str:
    """Return the lower-case hex SHA-256 of password and salt, hashed `iterations` times over.

    Raises:
        ProtocolError: when more than 100,000 iterations are asked for, or none;
            `maybe_executed` is False.
        UsageError: for a password that is no Unicode.
    """
    if not 1 <= iterations <= MAX_ITERATIONS:
        raise ProtocolError(
            f"the server asks for {iterations} hash iterations; 1 to {MAX_ITERATIONS} are done",
            maybe_executed=False,
        )
    # Python hands over an environment variable's bytes that are no UTF-8 in this form.
    try:
        digest = f"{password}{salt}".encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # Without the error itself, which knows the whole password.
        raise UsageError("the password has a lone surrogate, which is no Unicode") from None
    for _ in range(iterations):
        digest = hashlib.sha256(digest).digest()
    return digest.hex()


def hello_fields(greeting: Greeting, identity: Identity, password: str | None) -> dict[str, object]:
    """Return what HELLO says, in a fixed order and without what is not known.

    Raises:
        AuthenticationError: when the server asks for a password and none is given.
        ProtocolError: when it asks for too many hash iterations.
    """
    fields: dict[str, object] = {"v": VERSION}
    known = {"wid": identity.wid, "hostname": identity.hostname, "pid": identity.pid}
    fields |= {name: value for name, value in known.items() if value is not None}
    if identity.wid is not None:
        fields["labels"] = identity.labels
    if identity.username is not None:
        fields["username"] = identity.username
    if greeting.salt is not None:
        if password is None:
            raise AuthenticationError(
                "the server asks for a password and none was given: "
                "put it into the URL, tcp://:PASSWORD@host:7419"
            )
        fields["pwdhash"] = password_hash(password, greeting.salt, greeting.iterations)
    return fields
