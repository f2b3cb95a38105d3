"""Who holds the key above the key rings: one file for each provider, named by the setting `keys.provider`."""
