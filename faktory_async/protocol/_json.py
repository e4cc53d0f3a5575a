"""JSON on the wire."""

from typing import Final

import msgspec

UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What decoding raises for bytes that are no JSON, or not of the type that was asked for."""

encode: Final = msgspec.json.Encoder().encode
"""Compact and on one line; `UnicodeEncodeError` for lone surrogates."""
