"""JSON as Go reads it: the same texts accepted, the same words for what is not.

It keeps what msgspec hides: repeated keys, numbers as they were written, invalid UTF-8 and lone
surrogates (each becomes U+FFFD), nesting of 10,000. Python's own scanner does the work where it
can; what it refuses, or cannot tell, is scanned once more, slowly and with Go's words.
"""

import json
import re
from collections.abc import Callable
from itertools import accumulate
from typing import Final, NoReturn

from faktory_async.server._goscan import decode_text, scan
from faktory_async.server._gotree import MAX_DEPTH, Members, Number, Tree

_SURROGATE_ESCAPE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS: Final = bytes(set(range(256)) - _STEPS.keys())


def read(data: bytes) -> Tree:
    """Return what a JSON text says.

    Raises:
        InvalidJSONError: when it is no JSON, in Go's words.
    """
    if _SURROGATE_ESCAPE.search(data) is None and not is_deeper(data, MAX_DEPTH):
        try:
            return _scan(decode_text(data))
        except (ValueError, RecursionError):
            pass  # the thorough reader says what is wrong, or that nothing is
    return scan(data)


def is_deeper(data: bytes, limit: int) -> bool:
    """Whether more than `limit` brackets are open at once; only ever roughly so in bad JSON."""
    if data.count(b"[") + data.count(b"{") <= limit:
        return False
    brackets = _STRING.sub(b"", data).translate(None, _NO_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > limit


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and its like are no JSON


_scanner: Final = json.JSONDecoder(
    object_pairs_hook=Members,
    parse_float=Number,
    parse_int=Number,
    parse_constant=_refuse_constant,
)
_scan: Final[Callable[[str], Tree]] = _scanner.decode
