"""Which exceptions of a handler are meant for the whole program. Pure."""


def ends_the_program(error: BaseException) -> bool:
    """Tell whether the worker stops after this failure, and raises it.

    So it is for `KeyboardInterrupt` and `SystemExit`, and for a group with anything in it that is
    no `Exception`. Any other exception is its job's alone, whatever it derives from.
    """
    if isinstance(error, BaseExceptionGroup):
        return not isinstance(error, ExceptionGroup)
    return isinstance(error, KeyboardInterrupt | SystemExit)
