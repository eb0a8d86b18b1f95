"""One YAML per data set: loader, preprocessing and gate defaults; installed as `edgecheck.calibration`."""
