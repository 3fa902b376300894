"""Map a plugin over a large input with Dask's executor, here or on a cluster.

    pip install distributed
    python examples/map_with_dask.py [LINES [SCHEDULER]]

Without the address of a scheduler, Dask starts workers on this machine. Each machine needs
sen-host and the plugin's engine, but not the plugin's file: the plugin is sent along.
"""

from __future__ import annotations

import sys

import map_in_processes
from distributed import Client

from sen_host import PluginLoader


def main(count: int, scheduler: str | None) -> None:
    with (
        PluginLoader("wasmtime").load(map_in_processes.PLUGIN) as plugin,
        Client(scheduler, dashboard_address=None) as client,
        client.get_executor() as executor,
    ):
        client.upload_file(map_in_processes.__file__)
        # It goes to each worker once, and not with each batch.
        sent = client.scatter(plugin, broadcast=True)
        map_in_processes.count_words(executor, sent, count)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(int(arguments[0]) if arguments else 200_000, arguments[1] if arguments[1:] else None)
