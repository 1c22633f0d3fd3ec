"""From a text to the server's answer; and what leaves by itself, such as receipts."""
