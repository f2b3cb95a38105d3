"""The steps of the main job, one file for each arrow of ARCHITECTURE.md, from receive to deliver."""
