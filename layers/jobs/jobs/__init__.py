"""Your jobs: one file each, named by the decorator inside."""
