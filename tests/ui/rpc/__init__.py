"""JSON-RPC."""
