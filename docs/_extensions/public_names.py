"""The directive ``public-names``: documents the public names whose home is one of the given modules.

The reference cannot forget a name: one that no page claims is a warning, and a warning fails the build.
A module that does not exist yet documents nothing.
"""

import importlib
import inspect
from types import ModuleType

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

PACKAGE = "journeykit"
HIDDEN = {"__version__"}

logger = logging.getLogger(__name__)


def public_objects():
    """Return the public names in their order, each with its object."""
    try:
        package = importlib.import_module(PACKAGE)
    except ModuleNotFoundError:
        return {}
    return {name: getattr(package, name) for name in getattr(package, "__all__", ()) if name not in HIDDEN}


def home(thing):
    """Return the module in which an object was defined, or the module itself."""
    return thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", PACKAGE)


def within(module, homes):
    return any(module == each or module.startswith(each + ".") for each in homes)


def path(name, thing):
    """Return where an object is documented: a module under its own name, the rest under the package."""
    return thing.__name__ if isinstance(thing, ModuleType) else f"{PACKAGE}.{name}"


def described(name, thing):
    """Return the lines of reStructuredText that document one object."""
    if isinstance(thing, ModuleType):
        twice = [each for each in public_objects() if hasattr(thing, each)]
        left_out = [f"   :exclude-members: {', '.join(twice)}"] if twice else []
        return [f".. automodule:: {thing.__name__}", "   :members:", *left_out, ""]
    if inspect.isclass(thing):
        return [f".. autoclass:: {PACKAGE}.{name}", "   :members:", "   :show-inheritance:", ""]
    directive = "autofunction" if callable(thing) else "autodata"
    return [f".. {directive}:: {PACKAGE}.{name}", ""]


class PublicNames(SphinxDirective):
    """Documents what lives in the modules that are its arguments."""

    required_arguments = 1
    optional_arguments = 20

    def run(self):
        homes = self.arguments
        claimed = {name: thing for name, thing in public_objects().items() if within(home(thing), homes)}
        self.env.metadata[self.env.docname]["public names"] = " ".join(claimed)
        if not claimed:
            return [nodes.paragraph("", "Nothing here yet.")]
        lines = [".. autosummary::", "   :nosignatures:", ""]
        lines += [f"   {path(name, thing)}" for name, thing in claimed.items()] + [""]
        for name, thing in claimed.items():
            lines += described(name, thing)
        return self.parsed(lines)

    def parsed(self, lines):
        container = nodes.container()
        source, _ = self.get_source_info()
        self.state.nested_parse(StringList(lines, source=source), self.content_offset, container)
        return container.children


def warn_of_forgotten_names(app, env):
    claimed = {name for page in env.metadata.values() for name in page.get("public names", "").split()}
    for name in public_objects():
        if name not in claimed:
            logger.warning("the public name %r is on no page of docs/reference", name)


def setup(app):
    app.add_directive("public-names", PublicNames)
    app.connect("env-check-consistency", warn_of_forgotten_names)
    return {"version": "1", "parallel_read_safe": True}
