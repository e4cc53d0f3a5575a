"""Every command there is."""

from typing import Final

from faktory_async.protocol._admin_commands import (
    BatchCommit,
    BatchNew,
    BatchOpen,
    BatchState,
    Latency,
    Mutate,
    Pause,
    Raw,
    Remove,
    Resume,
    TrackGet,
    TrackSet,
)
from faktory_async.protocol._command import Command
from faktory_async.protocol._commands import (
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

COMMANDS: Final[tuple[type[Command[object]], ...]] = (
    Hello,
    Push,
    PushBulk,
    Fetch,
    Ack,
    Fail,
    Beat,
    Info,
    Flush,
    Pause,
    Resume,
    Remove,
    Latency,
    Mutate,
    BatchNew,
    BatchOpen,
    BatchCommit,
    BatchState,
    TrackGet,
    TrackSet,
    Raw,
    End,
)
