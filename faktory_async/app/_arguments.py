"""Arguments of typed jobs: from a call to the args of a `Job`, and back.

A signature is compiled once, into a msgspec struct that is an array in JSON, one field for each
parameter. What is pushed is decoded on the spot as a worker will do it, so that a value which does
not fit, or would be another one there, fails where it was written.
"""

import contextlib
import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import GenericAlias
from typing import Any, Final, TypeVar, cast
from uuid import UUID

import msgspec
from msgspec import NODEFAULT, Struct, ValidationError

from faktory_async.app._kept import change
from faktory_async.errors import ArgumentsError, UsageError

_KINDS: Final = inspect.Parameter
_PATH: Final = re.compile(r" - at (`key` in )?`\$(.*)`$", re.DOTALL)
_INDEX: Final = re.compile(r"\[(\d+)\]")
T = TypeVar("T")

# What JSON writes as text: until it is written, it can be told from text.
_AS_TEXT: Final = (bytes, bytearray, datetime, date, time, timedelta, Decimal, UUID)
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})
_UNREADABLE: Final = (ValidationError, ValueError, TypeError, RecursionError, OverflowError)


class Parameter(Struct, frozen=True):
    """One parameter of a typed job.

    Attributes:
        name: Its name.
        annotation: The type of its value; of each of them where it is `*args`.
        default: What it is where nothing is given; `NODEFAULT` where something must be.
        rest: Whether it is `*args`.
        nameless: Whether no call may name it.
    """

    name: str
    annotation: Any
    default: Any
    rest: bool
    nameless: bool

    @property
    def kind(self) -> Any:
        """Its kind, as `inspect` has it."""
        if self.rest:
            return _KINDS.VAR_POSITIONAL
        return _KINDS.POSITIONAL_ONLY if self.nameless else _KINDS.POSITIONAL_OR_KEYWORD


class Arguments:
    """What a job takes.

    Args:
        jobtype: The job's type, for the errors.
        parameters: Its parameters, in order, without the context.
        strict: Whether a worker takes nothing but the types as they are; else texts of numbers
            will do for numbers, as languages without types send them.
        redact: Parameters of which an error shows no value.

    Raises:
        UsageError: a type that JSON cannot carry.
    """

    def __init__(
        self,
        jobtype: str,
        parameters: Sequence[Parameter],
        *,
        strict: bool,
        redact: Collection[str] = (),
    ) -> None:
        self.names: Final = tuple(parameter.name for parameter in parameters)
        self._redact = redact
        self._jobtype = jobtype
        self._parameters = tuple(parameters)
        self._strict = strict
        self._check_types()
        plain = [parameter for parameter in parameters if not parameter.rest]
        rest = [parameter for parameter in parameters if parameter.rest]
        self._count = len(plain)
        self._struct = _struct_of(jobtype, plain)
        self._rest: Any = GenericAlias(list, (rest[0].annotation,)) if rest else None
        self._signature = inspect.Signature(
            [
                _KINDS(
                    parameter.name,
                    parameter.kind,
                    default=_KINDS.empty if parameter.default is NODEFAULT else parameter.default,
                )
                for parameter in parameters
            ]
        )

    # -- pushing ------------------------------------------------------------------------------

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
        """Return the JSON values that a job carries for a call.

        Parameters that are left out at the end stay out: the worker knows their defaults.

        Raises:
            ArgumentsError: a value is no JSON, does not fit its parameter, or would not be the same
                when a worker reads it; with its path.
            TypeError: the call does not fit the signature, as Python itself would say.
        """
        if kwargs:
            args = self._bound(args, kwargs)
        elif len(args) != self._count:
            self._bind(args, kwargs)  # says which one is missing, or that there are too many
        if _PLAIN.issuperset(map(type, args)):  # nearly always: there is nothing to encode
            plain = list(args)
            self._decode(plain, strict=True)
            return plain
        try:
            values = _builtins(list(args), _AS_TEXT)
        except _UNREADABLE:
            # A dict whose keys are dates, say, or nothing that can be sent.
            encoded = [self._encode(number, value) for number, value in enumerate(args)]
        else:
            self._decode(values, strict=True, apart=_AS_TEXT)  # says what is no text, and should be
            encoded = _builtins(values, ())
        self._check_read(args, self._decode(encoded, strict=True))
        return encoded

    def _encode(self, number: int, value: object) -> Any:
        try:
            return _builtins([value], ())[0]
        except _UNREADABLE as error:
            raise ArgumentsError(
                f"{_plain(error)}, so {self._name(number)!r} of {self._jobtype} cannot be sent",
                path=f"args[{number}]",
            ) from None

    def _check_read(self, args: tuple[Any, ...], read: tuple[Any, ...]) -> None:
        """Refuse what a worker would read as something else; it may read defaults beside it."""
        for number, (given, found) in enumerate(zip(args, read, strict=False)):
            changed = change(given, found)
            if changed is not None:
                name = self._name(number)
                path, what = changed.path, changed.what
                if name in self._redact:
                    path, what = "", "is not the same any more when a worker reads it"
                raise ArgumentsError(
                    f"{what}, for {name!r} of {self._jobtype}", path=f"args[{number}]{path}"
                )

    def _bound(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        bound = self._bind(args, kwargs)
        # By position, what lies between two that are given must be there as well.
        last = max(
            (number for number, name in enumerate(self.names) if name in bound.arguments), default=0
        )
        bound.apply_defaults()
        return bound.args if self._rest is not None else bound.args[: last + 1]

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        try:
            return self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self._jobtype}: {error}") from None

    # -- working ------------------------------------------------------------------------------

    def decode(self, args: list[Any]) -> tuple[Any, ...]:
        """Return the values that the handler is called with.

        Raises:
            ArgumentsError: what came does not fit the signature; with its path.
        """
        return self._decode(args, strict=self._strict)

    def _decode(
        self, args: list[Any], *, strict: bool, apart: tuple[type, ...] = ()
    ) -> tuple[Any, ...]:
        if self._rest is None:
            if len(args) > self._count:
                raise ArgumentsError(
                    f"{self._jobtype} takes {self._count}, not {len(args)}", path="args"
                )
            return _values(self._convert(args, self._struct, strict=strict, apart=apart))
        head = self._convert(args[: self._count], self._struct, strict=strict, apart=apart)
        tail: list[Any] = self._convert(
            args[self._count :], self._rest, strict=strict, apart=apart, offset=self._count
        )
        return (*_values(head), *tail)

    def _convert(
        self,
        args: list[Any],
        kind: type[T],
        *,
        strict: bool,
        apart: tuple[type, ...],
        offset: int = 0,
    ) -> T:
        try:
            return msgspec.convert(
                args, kind, strict=strict, str_keys=True, builtin_types=apart, dec_hook=_decoded
            )
        except _UNREADABLE as error:
            raise self._misfit(error, offset) from None

    def _misfit(self, error: Exception, offset: int) -> ArgumentsError:
        text = str(error)
        found = _PATH.search(text)
        inside = found[2] if found else ""
        said = text[: found.start()] if found else text
        if found and found[1]:
            said += " as a key"
        index = _INDEX.match(inside)
        if index is None:
            return ArgumentsError(self._missing(said), path=f"args{inside}")
        number = int(index[1]) + offset
        inside = inside[index.end() :]
        if self._name(number) in self._redact:
            said, inside = "Expected another value", ""  # than one that is nobody's business
        return ArgumentsError(
            f"{said} for {self._name(number)!r} of {self._jobtype}", path=f"args[{number}]{inside}"
        )

    def _name(self, number: int) -> str:
        return self.names[min(number, len(self.names) - 1)]

    def _missing(self, said: str) -> str:
        needed = [name.name for name in self._parameters if name.default is NODEFAULT]
        return f"{said}: {self._jobtype} needs {', '.join(needed)}" if needed else said

    # -- for other languages ------------------------------------------------------------------

    def types(self) -> list[Any]:
        """Return the type of each parameter."""
        return [parameter.annotation for parameter in self._parameters]

    def schema(self, components: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the JSON Schema of the args.

        Args:
            components: The schema of each of `types`, in the same order.
        """
        plain: list[dict[str, Any]] = []
        rest: dict[str, Any] | bool = False
        for parameter, component in zip(self._parameters, components, strict=True):
            titled = {"title": parameter.name, **component}
            if parameter.rest:
                rest = titled
                continue
            if parameter.default is not NODEFAULT:
                with contextlib.suppress(*_UNREADABLE):  # it is the worker's affair anyway
                    titled["default"] = _builtins([parameter.default], ())[0]
            plain.append(titled)
        schema: dict[str, Any] = {"type": "array", "items": rest}
        if plain:
            schema["prefixItems"] = plain
        schema["minItems"] = sum(
            parameter.default is NODEFAULT and not parameter.rest for parameter in self._parameters
        )
        return schema

    def _check_types(self) -> None:
        """Refuse what JSON cannot carry."""
        for parameter in self._parameters:
            try:
                info = msgspec.inspect.type_info(parameter.annotation)
            except TypeError as error:
                raise UsageError(f"{self._jobtype} takes {parameter.name}: {error}") from None
            for found in _customs_in(info):
                if not _is_model(found):
                    raise UsageError(
                        f"{self._jobtype} takes {parameter.name}: {found.__qualname__}, which JSON "
                        "cannot carry: take a dataclass, a msgspec.Struct or plain values"
                    )


def parameters_of(
    jobtype: str, signature: inspect.Signature, annotations: Mapping[str, Any]
) -> list[Parameter]:
    """Return the parameters of a function, in order.

    Args:
        jobtype: For the errors.
        signature: The function's, without the context.
        annotations: The types; without one, a parameter takes anything.

    Raises:
        UsageError: there are keyword-only parameters: args are an array, which has no names.
    """
    found: list[Parameter] = []
    for name, parameter in signature.parameters.items():
        if parameter.kind in (_KINDS.KEYWORD_ONLY, _KINDS.VAR_KEYWORD):
            shown = f"**{name}" if parameter.kind is _KINDS.VAR_KEYWORD else name
            raise UsageError(
                f"{jobtype}: args are positional in Faktory, so {shown} cannot be passed by name "
                f"only: make {name} a normal parameter"
            )
        default = NODEFAULT if parameter.default is _KINDS.empty else parameter.default
        rest = parameter.kind is _KINDS.VAR_POSITIONAL
        nameless = parameter.kind is _KINDS.POSITIONAL_ONLY
        found.append(Parameter(name, annotations.get(name, Any), default, rest, nameless))
    return found


def schema_of_model(kind: type) -> dict[str, Any]:
    """Return the JSON Schema of a model of pydantic's; it says itself what may be there."""
    described: Callable[[], dict[str, Any]] | None = getattr(kind, "model_json_schema", None)
    # With an id, the references in it are its own.
    name = f"urn:{kind.__module__}.{kind.__qualname__}"
    return {} if described is None else {"$id": name, **described()}


# -- inside -----------------------------------------------------------------------------------


def _struct_of(jobtype: str, parameters: Sequence[Parameter]) -> type[Struct]:
    """Return the struct; its fields have names of their own, since a parameter may have any."""
    fields: list[Any] = []
    for number, parameter in enumerate(parameters):
        name = f"arg{number}"
        if parameter.default is NODEFAULT:
            fields.append((name, parameter.annotation))
        else:
            fields.append((name, parameter.annotation, _default(parameter.default)))
    return msgspec.defstruct(
        re.sub(r"\W", "_", jobtype) or "args", fields, array_like=True, forbid_unknown_fields=True
    )


def _default(value: Any) -> Any:
    # Of whatever kind: msgspec copies or refuses some of those it is given as they are.
    return msgspec.field(default_factory=lambda: value)


_values: Final[Callable[[Struct], tuple[Any, ...]]] = msgspec.structs.astuple


def _customs_in(info: Any) -> list[type]:
    """Return every type in it that msgspec knows nothing of."""
    found: list[type] = []
    seen: set[int] = set()
    waiting = [info]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, msgspec.inspect.CustomType):
            found.append(node.cls)
        if isinstance(node, Struct):
            waiting += [getattr(node, name) for name in node.__struct_fields__]
        elif isinstance(node, tuple):
            waiting += node
    return found


def _is_model(kind: type) -> bool:
    """Whether it is a class of pydantic's, which is not imported for that."""
    return hasattr(kind, "model_validate_json") and hasattr(kind, "model_dump")


def _builtins(values: list[Any], apart: tuple[type, ...]) -> list[Any]:
    return _listed(
        msgspec.to_builtins(values, str_keys=True, builtin_types=apart, enc_hook=_encoded)
    )


def _listed(root: list[Any]) -> list[Any]:
    """Make lists of the tuples in it, which msgspec lets be."""
    waiting: list[Any] = [root]
    while waiting:
        container = waiting.pop()
        for key, value in _items(container):
            if _is(value, tuple):
                container[key] = list(value)
            if _is(value, list, tuple, dict):
                waiting.append(container[key])
    return root


def _items(container: Any) -> Iterable[tuple[Any, Any]]:
    if _is(container, dict):
        return cast("Iterable[tuple[Any, Any]]", container.items())
    return enumerate(cast("list[Any]", container))


def _is(value: object, *kinds: type) -> bool:
    return type(value) in kinds


def _encoded(value: Any) -> Any:
    kind = cast("type[object]", type(value))
    if _is_model(kind):
        return value.model_dump(mode="json", by_alias=True)
    raise TypeError(f"{kind.__name__} has no JSON form")


def _plain(error: Exception) -> str:
    return "it has no end, or too deep a one" if isinstance(error, RecursionError) else str(error)


def _decoded(kind: type, value: Any) -> Any:
    if _is_model(kind):
        # As JSON: in Python's own values a strict model wants none of the texts that these are.
        return kind.model_validate_json(msgspec.json.encode(value))  # type: ignore[attr-defined]  # that is what was asked
    raise TypeError(f"{kind.__name__} has no JSON form")
