"""The commands of `dxgate`, one file for each noun; gateway/cli.py names them."""
