"""Training of networks on crops that are painted as they are needed, and the export of packages."""
