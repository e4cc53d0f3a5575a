"""A buffer that counts the bytes it has to look at or move: work instead of time."""

from typing import Self, SupportsIndex

__all__ = ["CountingBuffer"]


class CountingBuffer(bytearray):
    """Stands in for the `bytearray` of a reader."""

    work = 0

    def find(  # type: ignore[override]  # the one way in which it is called
        self, sub: bytes, start: int = 0
    ) -> int:
        found = super().find(sub, start)
        self.work += (len(self) if found < 0 else found + len(sub)) - start
        return found

    def __iadd__(self, data: bytes) -> Self:  # type: ignore[override, misc]  # ditto
        self.work += len(data)
        super().__iadd__(data)
        return self

    def __delitem__(self, key: SupportsIndex | slice) -> None:
        before = len(self)
        super().__delitem__(key)
        if len(self) < before:
            self.work += len(self)
