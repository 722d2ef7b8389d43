"""What a machine does to a run for hours: kills at any moment, full disks, two writers, long runs. See `__main__`."""
