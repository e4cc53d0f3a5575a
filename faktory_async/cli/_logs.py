"""Where the command's words and everybody's log records go: to stderr, for people or programs."""

import logging
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

from faktory_async.cli._settings import LogFormat

# What the command itself says is shown as it is, without a time.
COMMAND: Final = logging.getLogger("faktory_async.cli")
JOBS: Final = logging.getLogger("faktory_async.cli.jobs")
WORKER: Final = logging.getLogger("faktory_async.worker")

_ARROWS: Final = {"job_start": "→", "ack": "←", "discard": "⊘", "retry": "↻"}
_FAILED: Final = "✗"
_ASCII: Final = str.maketrans(
    {"→": "->", "←": "<-", "⊘": "--", "↻": "~>", "✗": "!!", "·": "-", "…": "..."}
)
_STANDARD: Final = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
_OWN: Final = {"time", "level", "logger", "message", "exception", "stack"}
_STYLES: Final = {"ack": "green", "job_start": "cyan", "retry": "yellow", "discard": "yellow"}


def set_up_logging(level: str, form: LogFormat, stream: TextIO) -> None:
    """Have all log records written to a stream; what the app sets up later goes before that.

    Args:
        level: From `debug` to `error`.
        form: `auto` is `rich` on a terminal, else `plain`.
        stream: Where to write.
    """
    if form == "auto":
        form = "rich" if stream.isatty() else "plain"
    handler = _handler(form, stream)
    handler.addFilter(_worth_it)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level.upper())


def _handler(form: LogFormat, stream: TextIO) -> logging.Handler:
    if form == "rich":
        return RichHandler(stream)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if form == "json" else PlainFormatter(stream))
    return handler


def _worth_it(record: logging.LogRecord) -> bool:
    """Tell whether a record says what the job's own line does not."""
    told = getattr(record, "event", None) == "job_reported" and record.levelno == logging.INFO
    return not told or logging.getLogger().isEnabledFor(logging.DEBUG)


class PlainFormatter(logging.Formatter):
    """One line of text for each record, and what belongs to it below.

    Args:
        stream: Where it goes: where that cannot show arrows, they are made of ASCII.
        date: Whether the day is part of the time.
    """

    def __init__(self, stream: TextIO, *, date: bool = True) -> None:
        super().__init__(datefmt="%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S")
        self._plain = not _can_show_arrows(stream)

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        text = self._line(record)
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        if record.stack_info:
            text = f"{text}\n{self.formatStack(record.stack_info)}"
        return text.translate(_ASCII) if self._plain else text

    def _line(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.name == COMMAND.name:
            return message
        time = self.formatTime(record, self.datefmt)
        if record.name == JOBS.name:
            return f"{time} {_line_of_job(record, message)}"
        return f"{time} {record.levelname.lower()} {record.name}: {message}"


class JsonFormatter(logging.Formatter):
    """One JSON object for each record, with whatever `extra` was given to it.

    What the record itself says goes before that: an extra `time` is there as `extra_time`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the object of a record."""
        document: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            document["stack"] = self.formatStack(record.stack_info)
        for name, value in vars(record).items():
            if name not in _STANDARD:
                document[_free(name, document)] = value
        return _json(document)


def _free(name: str, document: dict[str, Any]) -> str:
    """Return what an extra is called beside what the document has."""
    while name in document or name in _OWN:
        name = f"extra_{name}"
    return name


class RichHandler(logging.Handler):
    """The lines of `PlainFormatter`, in colour.

    Args:
        stream: The terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs it

        super().__init__()
        self._console = Console(file=stream, highlight=False, markup=False, soft_wrap=True)
        self.setFormatter(PlainFormatter(stream, date=False))

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record."""
        try:
            self._console.print(self.format(record), style=_style(record))
        except Exception:  # noqa: BLE001 - as every handler of logging does: it says what happened
            self.handleError(record)


def _style(record: logging.LogRecord) -> str | None:
    if record.levelno >= logging.ERROR:
        return "red"
    if record.levelno >= logging.WARNING:
        return "yellow" if record.name != JOBS.name else "red"
    return _STYLES.get(_kind(record))


def _kind(record: logging.LogRecord) -> str:
    return str(getattr(record, "outcome", getattr(record, "event", "")))


def _line_of_job(record: logging.LogRecord, message: str) -> str:
    kind = _kind(record)
    took: float | None = getattr(record, "duration_ms", None)
    time = "" if took is None else f"  {took:.1f} ms"
    jid = str(getattr(record, "jid", ""))  # which another program may have made up
    shown = jid if jid.isprintable() else repr(jid)
    return f"{_ARROWS.get(kind, _FAILED)} {message}{time}  {shown}"


def _can_show_arrows(stream: TextIO) -> bool:
    try:
        (_FAILED + "".join(_ARROWS.values())).encode(stream.encoding or "utf-8")
    except (UnicodeError, LookupError):
        return False
    return True


def _json(document: dict[str, Any]) -> str:
    try:
        return msgspec.json.encode(document, enc_hook=repr).decode()
    except Exception:  # noqa: BLE001 - a value of somebody's `extra`: told as text rather than not at all
        texts = {name: _clean(str(value)) for name, value in document.items()}
        return msgspec.json.encode(texts).decode()


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
