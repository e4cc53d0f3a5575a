"""`python -m faktory_async`: the same as the command `faktory-async`."""

import os
import sys

# Python has put the current directory before its own modules, and an `email.py` there would be
# taken for one of them. The command adds it, where the app is to be found, once it has its own.
if __name__ == "__main__" and not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:  # noqa: PTH109 - a text
    del sys.path[0]

from faktory_async.cli import main

if __name__ == "__main__":
    main()
