"""The one connection to the server: made, kept up, and spoken over."""
