"""pywasm, an interpreter in pure Python, as a backend of sen-host."""
