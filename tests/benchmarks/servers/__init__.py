"""What is measured: each file starts one contestant, tells what it costs, and stops it."""
