"""The rivals' consumers: what a user would write by hand behind a broker. All call the same settler; only the transport differs."""
