"""The verbs of the command line for programs: JSON-RPC 2.0, a JSON text a line (`docs/scripting.md`)."""
