"""What an order must look like, worked out from the contract a second time, with no line in common with the bridge."""
