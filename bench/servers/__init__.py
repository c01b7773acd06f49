"""Reference servers, each a process of its own: `python -m bench.servers.NAME --port PORT`."""
