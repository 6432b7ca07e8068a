"""The client of a running service: its limits and its hosts are the settings'."""

import pytest

from inventory_api.app import open_service
from inventory_api.outbound.errors import ForbiddenAddress, TooLarge
from inventory_api.settings import Settings
from tests.outbound.peer import Peer, Rebinding, get, reply


async def test_a_service_calls_what_its_settings_name_within_their_limits(
    settings: Settings,
) -> None:
    changed = settings.model_copy(
        update={
            "outbound_private_hosts": ("127.0.0.1",),
            "outbound_http_hosts": ("127.0.0.1",),
            "outbound_reply_bytes_max": 10,
        }
    )
    async with (
        Peer(reply(200, b"x" * 10), reply(200, b"x" * 11)) as peer,
        open_service(changed) as service,
    ):
        first = await service.outbound.send(get(peer.url))
        with pytest.raises(TooLarge):
            await service.outbound.send(get(peer.url))
        text = service.metrics.exposition().decode()

    assert first.status == 200
    assert 'inventory_outbound_attempts_total{outcome="2xx",purpose="supplier"} 1.0' in text


async def test_a_service_that_names_nobody_calls_nothing_inside(settings: Settings) -> None:
    async with (
        Peer(reply()) as peer,
        open_service(settings, resolver=Rebinding(["127.0.0.1"])) as service,
    ):
        for url in (peer.url, f"https://hooks.example:{peer.port}/"):
            with pytest.raises(ForbiddenAddress):
                await service.outbound.send(get(url))

    assert peer.connections == 0


async def test_a_service_does_not_start_with_an_entry_that_names_no_host(
    settings: Settings,
) -> None:
    wrong = settings.model_copy(update={"outbound_private_hosts": ("http://erp",)})

    with pytest.raises(ValueError, match="http://erp"):
        async with open_service(wrong):
            pass
