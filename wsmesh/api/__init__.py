"""HTTP: the server API, health checks and metrics."""
