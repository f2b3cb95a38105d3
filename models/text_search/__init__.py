"""The search for text in pixels: where writing is burned into a picture, and overwriting it."""
