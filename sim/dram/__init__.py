"""The DRAM level: channels, banks and rows in time."""
