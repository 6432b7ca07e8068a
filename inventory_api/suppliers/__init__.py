"""Stock that lives elsewhere: how a supplier's list is read, and what is booked of it."""
