"""A run in one file, for a device that has neither PyTorch nor the run folder; and the result that comes back."""
