"""The rules of stock: pure functions on values, no I/O, no clock, no chance."""
