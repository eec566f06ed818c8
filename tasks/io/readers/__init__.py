"""Images and labels from any file in which people keep digits."""
