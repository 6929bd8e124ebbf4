"""The parametric head: its files, shape keys, anatomy, mesh algebra and identities."""
