"""Model packs and what runs them: manifest, package, registry, runtime; `training` makes the packs."""
