"""What carries a firmware's actions: real MQTT here; a simulated network can stand in its place."""
