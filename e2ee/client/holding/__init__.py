"""One holder of a profile's vault, and the commands of other processes that it serves."""
