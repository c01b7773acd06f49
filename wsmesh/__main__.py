"""`python -m wsmesh`, and the command `wsmesh`."""

from __future__ import annotations

import sys

from wsmesh.cli.allocator import restart_with_c_allocator, stays


def main() -> None:
    """Run the command line of this process and exit with its status."""
    if stays(sys.argv[1:]):
        # Before anything else is imported, which would have to be imported again.
        restart_with_c_allocator()
    from wsmesh.cli.main import main as command

    command()


if __name__ == "__main__":
    main()
