"""Class-activation maps: where in its images a network looks. Importing a method's file puts it into `METHODS`."""

from edgecheck.lab.cam import ablationcam, gradcam, gradcam_plusplus  # noqa: F401
from edgecheck.lab.cam.engine import Explanation, explain
from edgecheck.lab.cam.method import METHODS

__all__ = ["METHODS", "Explanation", "explain"]
