"""What every implementation of the server's store interfaces must do, said once."""
