"""What tests of applications need: a Faktory per test, by `faktory` and `faktory_server`.

Names are loaded when they are first used (PEP 562): pytest loads the plugin of every installed
package, whether or not a test needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faktory_async.testing._faktory import Faktory as Faktory
    from faktory_async.testing._faktory import Pushed as Pushed
    from faktory_async.testing._server import FaktoryServer as FaktoryServer

__all__ = ["Faktory", "FaktoryServer", "Pushed"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "_server" if name == "FaktoryServer" else "_faktory"
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value  # the next use finds it without a call
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
