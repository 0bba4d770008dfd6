"""The parts of an application, each with one subject: what `bridge.app` opens, and what it runs while it serves."""
