"""``python -m sen_host_conformance.fuzz``."""

from sen_host_conformance.fuzz.command import main

if __name__ == "__main__":
    raise SystemExit(main())
