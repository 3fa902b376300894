"""Plugins by the names of their commands: loaded, called, reloaded while they are called.

The rules:

- A look-up is one look into a dictionary, without a lock. Locks are held to swap an
  entry, never while a file is read, a module compiled or a guest called.
- Whoever calls a plugin holds its entry. An entry that was replaced or unloaded gets no
  new calls, and is closed by whoever leaves it last. Nobody waits.
- What fails to load changes nothing.
"""

from sen_host.registry.registry import PluginRegistry

__all__ = ["PluginRegistry"]
