"""What an operator can do, as typed async functions: the same for commands, the control socket, and whatever else asks for it.

Each takes a site first (`ports`): a `SiteReader` where it only reads, a `SiteContext` where it changes something or needs the running application.
"""
