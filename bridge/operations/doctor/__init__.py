"""`dockbridge doctor`: what is wrong with a site, and what mends it."""
