"""Shows: values in, text and JSON out. Nothing here measures, decides or prints."""
