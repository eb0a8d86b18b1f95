"""Class-activation maps: where in its images a network looks. Importing a method's file puts it into `METHODS`."""

from edgecheck.lab.cam import (  # noqa: F401
    ablationcam,
    gradcam,
    gradcam_plusplus,
    hirescam,
    layercam,
    scorecam,
    xgradcam,
)
from edgecheck.lab.cam.engine import Explanation, explain
from edgecheck.lab.cam.method import METHODS

__all__ = ["METHODS", "Explanation", "explain"]
