"""What the server keeps: accounts, passcodes, prekeys, mailboxes, limits."""
