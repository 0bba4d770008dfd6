"""The load generator: a process of its own, on a core of its own. A job comes in as JSON on standard input, figures go out as JSON on standard output."""
