"""Attribution: methods that turn evidence about a network's decision into maps, and the sources of that evidence."""
