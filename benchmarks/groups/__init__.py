"""The groups of rows, one file each."""
