"""What developers of devices read: composed from the contract and from the tables by which the server acts, so that it says what the server does."""
