"""What speed, disk and difficulty are measured with; see README.md."""
