"""Which exceptions of a handler are meant for the whole program. Pure."""


def ends_the_program(error: BaseException) -> bool:
    """Tell whether the worker stops after this failure, and raises it.

    So it is for `KeyboardInterrupt` and `SystemExit`, and for a group with anything in it that is
    no `Exception`. Any other exception is its job's alone, whatever it derives from.
    """
    kind = type(error)  # `isinstance` would ask the exception, which may do anything
    if issubclass(kind, BaseExceptionGroup):
        return not issubclass(kind, ExceptionGroup)
    return issubclass(kind, KeyboardInterrupt | SystemExit)
