"""The firmwares: state machines without sockets, threads, clocks or randomness of their own."""
