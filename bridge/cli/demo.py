"""`dockbridge demo`."""


def demo() -> None: ...
