"""Jobs that run in processes, which find them here by their names."""

import os
from typing import Any

from faktory_async import App, Backoff, Dead, Discard, Retries, Retry, current_context, current_job

app = App()


class Unpicklable(Exception):  # noqa: N818 - by its character
    def __init__(self, a: int, b: int) -> None:
        super().__init__("cannot travel")


@app.job(run_in="process")
def tell(path: str) -> None:
    """Write down what a process knows."""
    try:
        current_context()
    except Exception as error:  # noqa: BLE001 - told to the test
        known = str(error)
    else:
        known = "a context"
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - brief
        file.write(f"{os.getpid()} {current_job().jobtype} {known}")


def end(how: str) -> Any:
    cause = KeyError("cause")
    match how:
        case "retry":
            raise Retry(30) from cause
        case "discard":
            raise Discard("not wanted")
        case "dead":
            raise Dead("gone") from cause
        case "group":
            raise ExceptionGroup("group", [Retry(40)])
        case "unpicklable":
            raise Unpicklable(1, 2)
        case "value":
            raise ValueError("bad value")
        case _:
            raise LookupError("not there")


@app.job(run_in="process")
def plain(how: str) -> None:
    end(how)


@app.job(
    run_in="process",
    retry=Retries(max=5, backoff=Backoff.fixed(50, jitter=0), fatal=(ValueError,)),
)
def patient(how: str) -> None:
    end(how)
