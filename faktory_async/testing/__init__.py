"""What tests of applications need: a Faktory per test, by the fixture `faktory_server`.

Names are loaded when they are first used (PEP 562): pytest loads the plugin of every installed
package, whether or not a test needs it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faktory_async.testing._server import FaktoryServer as FaktoryServer

__all__ = ["FaktoryServer"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from faktory_async.testing import _server  # noqa: PLC0415 - late, as the docstring says

    value: object = getattr(_server, name)
    globals()[name] = value  # the next use finds it without a call
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
