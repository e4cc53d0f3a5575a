"""Find the app that the command line names."""

import difflib
import importlib
import inspect
import os
import sys
from types import ModuleType
from typing import Any, Final

from faktory_async.app import App
from faktory_async.cli._errors import NO_APP, USAGE, CommandError
from faktory_async.cli._traces import traceback_of

_DEFAULT: Final = "app"
_MISSING: Final = object()


def load_app(where: str) -> App:
    """Import the app.

    Args:
        where: `module:name`, or `module` for its `app`. The name may be that of a function without
            parameters that returns the app. Modules are looked for in the current directory first.

    Raises:
        CommandError: there is no such thing, it is no app, or its module raises; then with the
            traceback of that.
    """
    module_name, separator, name = where.partition(":")
    name = name if separator else _DEFAULT
    _check(where, module_name, name)
    here = os.getcwd()  # noqa: PTH109 - sys.path holds texts
    if here not in sys.path:
        sys.path.insert(0, here)
    module = _import(module_name)
    _refuse_twice(where, module)
    return _app(where, _attribute(module, name))


def _check(where: str, module: str, name: str) -> None:
    if module.endswith(".py") or "/" in module or os.sep in module:
        dotted = module.removesuffix(".py").removeprefix("./").replace(os.sep, ".")
        raise CommandError(
            USAGE, f"{module} is a file: write its module, {dotted.replace('/', '.')}:{name}"
        )
    if not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        raise CommandError(USAGE, f"{where!r} is no app: write module:name, such as hello:app")
    if module == "__main__":
        raise CommandError(USAGE, "__main__ is this command: write the name of the app's module")


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise _ended_by(error, name) from error
        found = f"{error}, neither in {os.getcwd()} nor installed"  # noqa: PTH109 - a text
        raise CommandError(NO_APP, found + _colon(name)) from error
    except BaseException as error:  # whatever it is, it came out of the user's module
        raise _ended_by(error, name) from error


def _colon(name: str) -> str:
    parent, _, last = name.rpartition(".")
    there = hasattr(sys.modules.get(parent), last)
    return f": did you mean {parent}:{last}?" if there else ""


def _refuse_twice(where: str, module: ModuleType) -> None:
    """A script that calls this command and names itself would have two apps of one name."""
    main = sys.modules.get("__main__")
    script, file = getattr(main, "__file__", None), getattr(module, "__file__", None)
    if script and file and os.path.realpath(script) == os.path.realpath(file):
        raise CommandError(
            USAGE,
            f"{file} was loaded twice, as __main__ and as {module.__name__}, and its jobs belong "
            f"to two apps: do not run it, but `faktory-async worker {where}`",
        )


def _attribute(module: ModuleType, name: str) -> object:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, _MISSING)
        if found is _MISSING:
            raise CommandError(NO_APP, f"{module.__name__} has no {name}{_hint(module, name)}")
    return found


def _hint(module: ModuleType, name: str) -> str:
    if _is_pythons(module):
        return f": {module.__name__} is Python's own: call yours otherwise"
    apps = [key for key, value in vars(module).items() if isinstance(value, App)]
    close = apps or difflib.get_close_matches(name, list(vars(module)), n=1)
    return f": did you mean {module.__name__}:{close[0]}?" if close else ""


def _is_pythons(module: ModuleType) -> bool:
    """Tell whether it was found for one of the app, which then would be in this directory."""
    file: str | None = getattr(module, "__file__", None)
    ours = file is not None and file.startswith(os.getcwd())  # noqa: PTH109 - a text
    return not ours and module.__name__.partition(".")[0] in sys.stdlib_module_names


def _app(where: str, found: object) -> App:
    if inspect.isfunction(found):
        try:
            found = found()
        except BaseException as error:  # likewise
            raise _ended_by(error, where) from error
    if isinstance(found, App):
        return found
    if inspect.iscoroutine(found):
        found.close()
        raise CommandError(NO_APP, f"{where} is async: a function that returns an app is a `def`")
    raise CommandError(NO_APP, f"{where} is no App, but {found!r}")


def _ended_by(error: BaseException, what: str) -> BaseException:
    if isinstance(error, KeyboardInterrupt):
        return error
    if isinstance(error, SystemExit):
        return CommandError(NO_APP, f"{what} has called sys.exit({error.code!r})")
    return CommandError(NO_APP, traceback_of(error))
