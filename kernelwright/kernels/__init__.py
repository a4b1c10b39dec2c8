"""Skeletons: few families of kernels, each able to write itself in several languages."""
