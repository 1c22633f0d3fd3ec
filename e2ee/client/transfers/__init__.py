"""Files of messages: on their way to the server, from there, and their places on this machine."""
