"""`python -m faktory_async`: the same as the command `faktory-async`."""

from faktory_async.cli import main

if __name__ == "__main__":
    main()
