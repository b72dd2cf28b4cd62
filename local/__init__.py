"""The local twin: the same template, on this machine, without Docker and without an AWS account."""
