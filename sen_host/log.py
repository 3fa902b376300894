"""The log. ``logging`` is dear to import, so it is left out where nobody listens."""

from __future__ import annotations

import sys

LOGGER = "sen_host"
"""The name of the logger that all lines go to."""


def debug(message: str, *args: object) -> None:
    """Log a line for those who look for the cause of something."""
    # Nobody can have asked for these lines without importing logging.
    if "logging" in sys.modules:
        import logging

        logging.getLogger(LOGGER).debug(message, *args, stacklevel=2)


def warning(message: str, *args: object) -> None:
    """Log a line that is shown unless somebody asked not to see it."""
    import logging

    logging.getLogger(LOGGER).warning(message, *args, stacklevel=2)
