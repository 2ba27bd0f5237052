"""Modules that are imported when they are first used.

The modules for HTTP and TLS take longer to import than the rest of this package. A program that reports nothing does
not need them, and a client imports all that its threads need when it is created, in the thread of its creator.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


class LazyModule:
    """A module of this package, imported when one of its names is first used."""

    def __init__(self, name: str) -> None:
        self._name = f"{__package__}.{name}"
        self._module: ModuleType | None = None

    def __getattr__(self, name: str) -> object:
        if self._module is None:
            self._module = import_module(self._name)
        return getattr(self._module, name)
