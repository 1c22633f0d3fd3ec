"""What two sides find out, and mend, when one of them has lost something."""
