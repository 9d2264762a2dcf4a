"""What the files of several providers share; it knows no provider by name."""
