"""What client and server say to each other: bytes, messages, and what is legal now. No I/O."""
