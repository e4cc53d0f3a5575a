"""The jid of a job that cannot be decoded."""

import re
from typing import Final

import msgspec

from faktory_async.model._document import UNREADABLE

# Possessive, and content with the end of the data instead of a closing quote: linear in its bytes.
_TOKEN: Final = re.compile(
    rb'(?P<text>"(?:[^"\\]|\\.)*+(?:"|\\?\Z))(?P<colon>\s*:)?|(?P<opens>[\[{]+)|(?P<closes>[\]}]+)',
    re.DOTALL,
)


def salvage_jid(data: bytes) -> str:
    """Return the jid in the bytes of a job that is broken or nested too deep; "" if none is found.

    Only a `jid` of the job itself counts, none inside of its arguments or custom data.
    """
    if not data.lstrip().startswith(b"{"):
        return ""
    depth = 0
    key = b""
    for token in _TOKEN.finditer(data):
        if token["opens"]:
            depth += len(token["opens"])
        elif token["closes"]:
            depth -= len(token["closes"])
        elif depth == 1 and token["colon"]:
            key = token["text"]
        elif depth == 1 and key == b'"jid"':
            return _text(token["text"])
    return ""


def _text(literal: bytes) -> str:
    try:
        return msgspec.json.decode(literal, type=str)
    except UNREADABLE:
        return ""
