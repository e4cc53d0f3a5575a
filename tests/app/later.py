"""Jobs whose annotations are text, and name what comes further down, or nothing at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faktory_async import JobContext, Router

if TYPE_CHECKING:
    from nowhere import Nothing  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports, reportUnknownVariableType]  # not at run time

router = Router()


@router.job
async def order(ctx: JobContext[State], item: Item, count: int = 1) -> Nothing:  # pyright: ignore[reportUnknownParameterType]  # likewise
    ctx.state.seen.append((item, count))


@router.job
async def unclear(item: Nothing) -> None: ...  # pyright: ignore[reportUnknownParameterType]  # likewise


class State:
    seen: list[Any]


class Item:
    """Known only here, at the end."""

    @classmethod
    def model_validate_json(cls, data: bytes) -> Item:
        return cls()

    def model_dump(self, *, mode: str, by_alias: bool) -> object:
        return {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Item)

    def __hash__(self) -> int:
        return 0
