"""edgecheck: may this compressed image classifier go onto that device?"""

__version__ = "0.1.0"
