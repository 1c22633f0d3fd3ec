"""What a client keeps: the encrypted vault of one profile."""
