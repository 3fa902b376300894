"""Load a plugin for Extism, run it once, print its text."""

import sys

from benchmarks.speed.peers.extism_sdk import ExtismPlugin

with open(sys.argv[1], "rb") as file:
    plugin = ExtismPlugin(file.read())
print(plugin.execute(sys.argv[2:]).text, flush=True)
