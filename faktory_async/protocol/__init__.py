"""The Faktory Work Protocol without I/O: replies, commands, the handshake, both ends' sessions.

Usable alone, by whoever brings the bytes.
"""

from faktory_async.protocol._client_session import ClientSession, Ticket
from faktory_async.protocol._command import Command
from faktory_async.protocol._commands import (
    COMMANDS,
    Ack,
    Beat,
    End,
    Fail,
    Fetch,
    Flush,
    Hello,
    Info,
    Push,
    PushBulk,
)
from faktory_async.protocol._handshake import (
    MAX_ITERATIONS,
    PRODUCER,
    VERSION,
    Greeting,
    Identity,
    parse_greeting,
    password_hash,
)
from faktory_async.protocol._refusals import refusal
from faktory_async.protocol._reply import (
    MAX_BULK,
    MAX_LINE,
    NULL,
    OK,
    BulkReply,
    ErrorReply,
    NullReply,
    Reply,
    ReplyReader,
    SimpleReply,
    encode_reply,
)
from faktory_async.protocol._server_session import MAX_COMMAND, ServerSession
from faktory_async.protocol._state import TRANSITIONS, Event, State, advance

__all__ = [
    "COMMANDS",
    "MAX_BULK",
    "MAX_COMMAND",
    "MAX_ITERATIONS",
    "MAX_LINE",
    "NULL",
    "OK",
    "PRODUCER",
    "TRANSITIONS",
    "VERSION",
    "Ack",
    "Beat",
    "BulkReply",
    "ClientSession",
    "Command",
    "End",
    "ErrorReply",
    "Event",
    "Fail",
    "Fetch",
    "Flush",
    "Greeting",
    "Hello",
    "Identity",
    "Info",
    "NullReply",
    "Push",
    "PushBulk",
    "Reply",
    "ReplyReader",
    "ServerSession",
    "SimpleReply",
    "State",
    "Ticket",
    "advance",
    "encode_reply",
    "parse_greeting",
    "password_hash",
    "refusal",
]
