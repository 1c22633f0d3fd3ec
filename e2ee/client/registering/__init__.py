"""From a number to an account, by passcode, proof and PIN; and the end of an account."""
