"""Attributes of packages, and methods of classes, that are imported when they are asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def attributes(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and the ``__dir__`` of a package.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    homes : mapping of str to str
        The module below the package that holds each name; empty where the name is a module itself.

    Returns
    -------
    tuple of callable
        A name is imported once, and is the package's own from then on.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(f"{package}.{homes[name] or name}")
        value = getattr(module, name) if homes[name] else module
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return get, names


class Later:
    """A function of another module as a method: it is imported when it is first asked for, and is the class's own then.

    Parameters
    ----------
    module : str
        Its full name.
    name : str
        The function in it.
    """

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __set_name__(self, owner: type, method: str) -> None:
        self.owner, self.method = owner, method

    def __get__(self, instance: Any, owner: type) -> Any:
        """Return the method, bound if it is asked of an instance."""
        function = getattr(import_module(self.module), self.name)
        setattr(self.owner, self.method, function)
        return function.__get__(instance, owner)
