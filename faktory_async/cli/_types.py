"""The values of options, as people write them."""

import math
import os
from typing import Any

import click

from faktory_async.errors import UsageError
from faktory_async.model import seconds


class DurationType(click.ParamType[float]):
    """A duration, such as `25s`, `1m30s` or `25`; in seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return it in seconds, or say what is wrong with it."""
        try:
            return seconds(value if isinstance(value, int | float) else str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)


class QueueType(click.ParamType[tuple[str, float | None]]):
    """A queue, with or without a weight: `mail`, `critical=5`."""

    name = "name[=weight]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float | None]:
        """Return name and weight, or say what is wrong with them."""
        if "," in str(value):
            first, second = str(value).split(",")[:2]
            how = f"write -q {first} -q {second}, and a weight as {first}=2"
            self.fail(f"{value!r} is not one queue: {how}", param, ctx)
        name, separator, weight = str(value).partition("=")
        if not separator:
            return name, None
        try:
            number = float(weight)
        except ValueError:
            number = math.nan
        if not 0 < number < math.inf:
            self.fail(f"the weight of {name} is a number above 0, not {weight!r}", param, ctx)
        return name, number


def each_once(
    ctx: click.Context, param: click.Parameter, queues: tuple[tuple[str, float | None], ...]
) -> tuple[tuple[str, float | None], ...]:
    """Return the queues, or refuse them where one is there twice: only one weight would count."""
    names = [name for name, _ in queues]
    for name in names:
        if names.count(name) > 1:
            raise click.BadParameter(f"{name} is there twice", ctx, param)
    return queues


class Switch(click.Option):
    """A flag with an opposite, such as `--cron/--no-cron`, both of which have their variable.

    click itself knows the variable of the first, with 0 for the opposite, and none of the second.
    """

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """Return what the environment says; None where it says nothing."""
        text = super().value_from_envvar(ctx)
        name = str(self.name).upper()
        variable = f"{ctx.auto_envvar_prefix}_NO_{name}"
        if not (opposite := os.environ.get(variable)):
            return text
        value = not self.type.convert(opposite, self, ctx)
        if text is not None and self.type.convert(text, self, ctx) != value:
            other = f"{ctx.auto_envvar_prefix}_{name}"
            raise click.BadParameter(f"{variable} says the opposite of {other}", ctx, self)
        return value
