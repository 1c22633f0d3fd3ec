"""What is kept of conversations: read, searched, forgotten, and gone by itself."""
