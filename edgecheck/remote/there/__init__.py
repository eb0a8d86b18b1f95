"""What runs on the device: files of the standard library alone, which `ssh` carries there with every connection.

Both ends of a connection are so of the same version, and a device needs nothing but Python to say what it lacks.
"""
