"""Files that come with videoxl: the bundled model and the demo video. Installed as `videoxl.assets`."""
