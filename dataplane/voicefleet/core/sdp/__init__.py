"""Session descriptions (RFC 8866) as far as one voice call needs them: a client's offer read, an answer written."""
