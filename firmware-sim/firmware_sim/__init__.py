"""Simulated firmware: scanners, couriers' phones, shops and dispatchers that know the wire contract and nothing else of the project."""
