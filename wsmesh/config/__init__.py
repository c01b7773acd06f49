"""Configuration: frozen sections, loading from TOML, environment and files, explaining faults."""
