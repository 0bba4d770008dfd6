"""What an operator can do, as typed async functions: the same for commands, the control socket, and whatever else asks for it.

The first argument is always the site (`ports`): a `SiteReader` if the function only reads, a `SiteContext` if it changes something or needs the running
server.
"""
