"""The compile cache: modules that were checked, rewritten and compiled once.

The rules:

1. **The host works without it.** A cache that cannot be read or written, for whatever
   reason, costs time and a line in the log, and is never an error.
2. **An entry is only what it was asked for.** Its name is a digest of everything that it
   depends on (``key``): the module, the limits that are written into it, the engine, the
   machine, our own code. An entry repeats its name, so it cannot stand in for another.
3. **An engine sees only what we wrote.** Loading compiled code is running it. So the
   directory and the files in it must be the user's own and nobody else's to write
   (``directory``), and the bytes that are checked against the checksum are the bytes that
   the engine gets (``entry``). The checksum is for accidents: against somebody who can
   write into the directory no digest would help, for he could compute it as well.
4. **No locks.** A file is written under another name and then renamed; what is renamed
   is never changed. Whoever has it open can read it to its end, also when it is removed.
   Two that remove the oldest entries at once remove the same ones.
"""

from __future__ import annotations
