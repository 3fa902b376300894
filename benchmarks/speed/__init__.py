"""Calls, starts, memory and threads, beside other ways to run the same plugins."""
