"""python -m stack COMMAND: up, down, status, logs; and launch, rotate, which circus runs."""

import sys


def main(argv):
    """Run one command; returns the exit code."""
    command, arguments = (argv[0], argv[1:]) if argv else ("help", [])
    # circus starts every process through `launch`: it must not wait for imports that only people's commands need.
    if command == "launch":
        from . import launch

        launch.main(arguments[0], int(arguments[1]))
    if command == "rotate":
        from . import rotate

        rotate.main()
    from . import commands

    return commands.run(command, arguments)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
