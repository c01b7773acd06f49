"""The wire, sans-I/O: HTTP heads, RFC 6455 frames, RFC 7692 deflate, PROXY headers."""
