"""The `callslip` command, also as `python -m server`."""

from server.collector import postpone_collector

__all__ = ["main"]


def main() -> None:
    """Entry point of the console script."""
    postpone_collector()
    from server.cli import run_command_line

    run_command_line()


if __name__ == "__main__":
    main()
