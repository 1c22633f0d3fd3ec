"""The Twisted glue that both sides share: TLS, pins, frames over a transport."""
