"""Load a plugin, run it once, print its text: what a user of sen-host writes."""

import sys

from sen_host import PluginLoader
from sen_host.messages import Success

plugin = PluginLoader(backend="wasmtime").load(sys.argv[1])
result = plugin.execute(sys.argv[2:])
assert isinstance(result, Success)
print(result.text, flush=True)
