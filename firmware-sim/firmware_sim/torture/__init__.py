"""A broker under torture: many clients publish, sessions persist, the server is killed again and again, and a ledger says what became of every message."""
