"""Plugins as commands of an application of Click or Typer.

from sen_host.click import LazyRegistry, PluginGroup

plugins = LazyRegistry("my-app", ["plugins"])

@click.group(cls=PluginGroup, plugins=plugins)
def app(): ...
"""

from sen_host.click.command import PluginCommand, Plugins
from sen_host.click.lazy import LazyRegistry
from sen_host.click.mounting import PluginGroup, mount, mount_typer

__all__ = ["LazyRegistry", "PluginCommand", "PluginGroup", "Plugins", "mount", "mount_typer"]
