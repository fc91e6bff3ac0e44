"""The commands of `iterable-sync`, a module each."""
