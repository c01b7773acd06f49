"""Loading the application's hooks."""

from __future__ import annotations

import importlib
import os
import sys

from wsmesh.app import App
from wsmesh.config.sections import AppSection
from wsmesh.errors import ConfigError


def load_app(section: AppSection) -> App:
    """Import the application's hooks.

    :raises ConfigError: the module cannot be imported or holds no App.
    """
    if not section.module:
        return App()
    name, _, attribute = section.module.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(name), attribute or "app")
    except Exception as error:
        raise ConfigError("app.module", [f"cannot load {section.module!r}: {error}"]) from error
    finally:
        sys.path.pop(0)
    if not isinstance(found, App):
        kind = type(found).__name__
        raise ConfigError("app.module", [f"expected an App at {section.module!r}, found {kind}"])
    return found
