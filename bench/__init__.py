"""Measurements of wsmesh, one file per benchmark; `python -m bench` lists them."""
