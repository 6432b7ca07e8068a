"""The URLs of a list's pages."""

from urllib.parse import quote, urljoin

from inventory_api.domain.supplier import Paging
from inventory_api.outbound.errors import ForbiddenAddress
from inventory_api.outbound.targets import Policy
from inventory_api.suppliers.failure import PullFailed


def page_url(url: str, paging: Paging, index: int) -> str:
    """The URL of a page, counted from 0."""
    position = index * paging.size if paging.kind == "offset" else paging.first + index
    parameters = [(paging.parameter, position)]
    if paging.size_parameter is not None:
        parameters.append((paging.size_parameter, paging.size))
    query = "&".join(f"{quote(name, safe='')}={value}" for name, value in parameters)
    return f"{url}{'&' if '?' in url else '?'}{query}"


def next_url(policy: Policy, url: str, following: str) -> str:
    """The URL that a page names as the next one, which has to be of the same server.

    Whoever can write the list could otherwise have us call anybody, with the supplier's secret.

    Raises:
        PullFailed: it is another server's, or may not be called.
    """
    try:
        joined = urljoin(url, following)
        here, there = policy.target(url), policy.target(joined)
    except (ForbiddenAddress, ValueError) as error:
        raise PullFailed("foreign_next", f"the link to the next page: {error}") from None
    if (here.scheme, here.host, here.port) != (there.scheme, there.host, there.port):
        raise PullFailed("foreign_next", "the link to the next page leads to another server")
    return joined
