"""Model packs and what runs them: manifest, package, registry, runtime; `training` makes the packs.

Every import of ONNX Runtime lies below this package, so that its telemetry is off before it is loaded: the official
builds report their use to their maker over HTTPS, under an identifier that they keep in the home folder (its
Privacy.md). Nothing of a hospital's goes anywhere unasked.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
