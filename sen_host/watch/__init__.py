"""Hot reload: a registry that follows what is in directories.

What the system tells of changes only wakes the watcher. What it does comes from comparing
what is in the directories with what it has handled before. So it does not matter whether
a file was written, renamed or replaced, how many events that made, in which order they
came, or whether some were lost.
"""

from sen_host.watch.follower import WatchEvent
from sen_host.watch.watcher import SETTLE_SECONDS, HotReloadWatcher

__all__ = ["SETTLE_SECONDS", "HotReloadWatcher", "WatchEvent"]
