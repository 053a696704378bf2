"""The fuzzer of the client address, and its oracle, which the plain suite runs as well."""
