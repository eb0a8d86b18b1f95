"""One file per structure; each files itself in the registry."""
