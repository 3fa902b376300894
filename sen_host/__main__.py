"""``python -m sen_host`` is the command ``sen-host``."""

from sen_host.cli import main

main()
