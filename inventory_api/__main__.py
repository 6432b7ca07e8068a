"""`python -m inventory_api` is `inventory-api`."""

from inventory_api.cli import main

main()
