"""What `make run` consists of: a whole Gatehouse on this machine, in one state directory."""
