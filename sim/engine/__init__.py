"""The compiled event loop and the tables that it runs on."""
