"""Nothing but the interpreter: print the argument."""

import sys

print(sys.argv[1], flush=True)
