"""Pure: no I/O, never awaits, imports no client library."""
