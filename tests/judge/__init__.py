"""The server's TLS as tools of others see it, beside what was seen when somebody last looked at it."""
