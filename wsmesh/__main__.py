"""`python -m wsmesh`."""

from __future__ import annotations

from wsmesh.cli.main import main

if __name__ == "__main__":
    main()
