"""kernelwright speeds up PyTorch modules with generated kernels that were checked and measured."""
