"""What carries a firmware's actions: a simulated network in virtual time, or real sockets."""
