"""Everything of a profile in one encrypted file, and back."""
