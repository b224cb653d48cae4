"""What has to be known to talk to a model server on a caller's behalf, without a socket and without a clock."""
