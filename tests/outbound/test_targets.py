"""Which URLs may be registered and called."""

import pytest

from inventory_api.outbound.addresses import HostList
from inventory_api.outbound.errors import ForbiddenAddress
from inventory_api.outbound.targets import Policy, Target
from tests.outbound.corpus import URLS

PUBLIC = Policy()


def test_the_corpus_has_at_least_eighty_urls() -> None:
    assert len({url for url, _ in URLS}) == len(URLS) >= 80


@pytest.mark.parametrize(("url", "reason"), URLS, ids=[ascii(url)[1:60] for url, _ in URLS])
def test_a_url_that_must_not_be_called_is_refused_with_what_is_wrong(url: str, reason: str) -> None:
    url = url.replace("PORT", "8080").replace("OWN", "10.11.12.13")

    with pytest.raises(ForbiddenAddress) as refused:
        PUBLIC.target(url)

    assert reason in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://hooks.example", Target("https", "hooks.example", 443, "/")),
        ("HTTPS://Hooks.Example:443/In?a=B", Target("https", "hooks.example", 443, "/In?a=B")),
        ("https://hooks.example:8443?x", Target("https", "hooks.example", 8443, "/?x")),
        ("https://hooks.example:80/", Target("https", "hooks.example", 80, "/")),
        ("https://xn--bcher-kva.example/", Target("https", "xn--bcher-kva.example", 443, "/")),
        ("https://my_shop.example/a/../b", Target("https", "my_shop.example", 443, "/a/../b")),
        ("https://8.8.8.8/", Target("https", "8.8.8.8", 443, "/")),
        ("https://[2606:4700:0::1111]/", Target("https", "2606:4700::1111", 443, "/")),
        ("https://[64:ff9b::808:808]/", Target("https", "64:ff9b::808:808", 443, "/")),
        ("https://1e100.example/", Target("https", "1e100.example", 443, "/")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_public_url_is_taken_apart(url: str, target: Target) -> None:
    assert PUBLIC.target(url) == target


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://hooks.example/", "hooks.example"),
        ("https://hooks.example:8443/", "hooks.example:8443"),
        ("https://[2606:4700::1111]/", "[2606:4700::1111]"),
        ("https://[2606:4700::1111]:8443/", "[2606:4700::1111]:8443"),
    ],
)
def test_the_host_header_names_a_port_that_is_not_the_schemes_own(url: str, authority: str) -> None:
    assert PUBLIC.target(url).authority == authority


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("erp", "https://erp/"),
        ("erp:8080", "https://erp:8080/"),
        ("ERP.lan", "https://erp.lan/"),
        ("127.0.0.1", "https://127.0.0.1:5000/"),
        ("127.0.0.1:81", "https://127.0.0.1:81/"),
        ("10.0.0.0/8", "https://10.1.2.3/"),
        ("::1", "https://[::1]/"),
        ("[::1]:99", "https://[::1]:99/"),
        ("fd00::/8", "https://[fd00::5]/"),
    ],
)
def test_a_private_host_may_be_called_once_it_is_named(entry: str, url: str) -> None:
    with pytest.raises(ForbiddenAddress):
        PUBLIC.target(url)

    assert Policy(private=HostList.parse([entry])).target(url).scheme == "https"


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("erp:8080", "https://erp:8081/"),
        ("erp", "https://other/"),
        ("erp", "http://erp/"),
        ("erp", "https://erp:22/"),
        ("erp.lan", "https://evil-erp.lan/"),
        ("127.0.0.1", "https://127.0.0.2/"),
        ("127.0.0.1:8080", "https://127.0.0.1:8081/"),
        ("10.0.0.0/8", "https://192.168.0.1/"),
    ],
)
def test_a_named_host_opens_no_other_door(entry: str, url: str) -> None:
    policy = Policy(private=HostList.parse([entry]))

    with pytest.raises(ForbiddenAddress):
        policy.target(url)


def test_a_public_host_may_be_called_by_http_once_it_is_named() -> None:
    policy = Policy(plain=HostList.parse(["hooks.example", "8.8.8.0/24"]))

    assert policy.target("http://hooks.example/").authority == "hooks.example"
    assert policy.target("http://8.8.8.8:8080/").authority == "8.8.8.8:8080"
    with pytest.raises(ForbiddenAddress, match="http, not https"):
        policy.target("http://other.example/")


@pytest.mark.parametrize(
    "entry",
    ["", "erp.", "erp:", "erp:0", "erp:70000", "erp:x", "*", "a b", "http://erp", "10.0.0.0/99"],
)
def test_an_entry_that_names_no_host_is_refused_at_the_start(entry: str) -> None:
    with pytest.raises(ValueError, match=r"host|port|network"):
        HostList.parse([entry])
