"""HTTP only: what comes in is parsed here, what goes out is shaped here."""
