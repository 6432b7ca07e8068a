"""Suppliers over HTTP: made, changed, archived, and their codes."""

import pytest

from tests.web.shop import JSON, Shop, problem, wrong_fields

URL = "https://feeds.example.com/stock"
BODY = {"code": "acme", "url": URL, "format": "json"}


async def create(shop: Shop, **fields: JSON) -> JSON:
    answer = await shop.http.post("/v1/suppliers", json={**BODY, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_supplier_gets_a_location_of_its_own_that_does_not_sell(shop: Shop) -> None:
    made = await create(shop, name="Acme Trading")

    location = await shop.get("/v1/locations/acme")
    assert (location["kind"], location["sellable"]) == ("supplier", False)
    assert location["name"] == "Acme Trading"
    assert made["location"] == "acme"
    assert made == await shop.get("/v1/suppliers/acme")


async def test_what_is_left_out_is_careful(shop: Shop) -> None:
    made = await create(shop)

    assert made["limits"] == {"concurrency": 2, "rate_per_s": 5}
    assert (made["missing"], made["partial_allowed"], made["schedule_s"]) == ("keep", False, None)
    assert made["paging"]["kind"] == "none"
    assert made["secret"] is None


async def test_a_location_that_is_there_is_taken_if_it_is_a_suppliers_and_free(shop: Shop) -> None:
    await shop.http.post("/v1/locations", json={"code": "hall-9", "kind": "supplier"})

    await create(shop, location="hall-9")

    for code, location in (("b", "hall-9"), ("c", "main")):
        body = {**BODY, "code": code, "location": location}
        answer = await shop.http.post("/v1/suppliers", json=body)
        assert problem(answer, 409)["code"] == "not_supplier_location"


async def test_a_code_is_given_once(shop: Shop) -> None:
    await create(shop)

    answer = await shop.http.post("/v1/suppliers", json={**BODY, "location": "other"})

    assert problem(answer, 409)["code"] == "already_exists"
    assert problem(await shop.http.get("/v1/locations/other"), 404)


async def test_a_change_obeys_the_version_and_leaves_the_rest(shop: Shop) -> None:
    await create(shop, missing="zero", limits={"concurrency": 5, "rate_per_s": 20})

    stale = await shop.http.patch(
        "/v1/suppliers/acme", json={"name": "x"}, headers={"If-Match": '"9"'}
    )
    good = await shop.http.patch(
        "/v1/suppliers/acme", json={"schedule_s": 600}, headers={"If-Match": '"1"'}
    )

    assert problem(stale, 412)["current_version"] == 1
    assert good.headers["etag"] == '"2"'
    assert good.json()["missing"] == "zero"
    assert good.json()["limits"] == {"concurrency": 5, "rate_per_s": 20}
    assert good.json()["schedule_s"] == 600


async def test_an_archived_supplier_can_be_brought_back(shop: Shop) -> None:
    await create(shop)

    archived = await shop.http.delete("/v1/suppliers/acme")
    back = await shop.http.patch("/v1/suppliers/acme", json={"status": "active"})

    assert (archived.json()["status"], back.json()["status"]) == ("archived", "active")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"shape": {"sku": ""}}, "shape.sku"),
        ({"paging": {"kind": "cursor"}}, "paging.kind"),
        ({"paging": {"size": 0}}, "paging.size"),
        ({"limits": {"concurrency": 0}}, "limits.concurrency"),
        ({"limits": {"rate_per_s": 0.5}}, "limits.rate_per_s"),
        ({"secret": {"header": "X"}}, "secret.env"),
        ({"schedule_s": 59}, "schedule_s"),
        ({"bad_rows_percent_max": 101}, "bad_rows_percent_max"),
        ({"delimiter": ";"}, "delimiter"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_wrong_field_is_named(shop: Shop, fields: JSON, named: str) -> None:
    answer = await shop.http.post("/v1/suppliers", json={**BODY, **fields})

    assert wrong_fields(answer) == [named]


async def test_codes_are_set_all_or_none_and_taken_away(shop: Shop) -> None:
    await create(shop)

    async def put(*codes: tuple[str, str | None]) -> JSON:
        body = {"codes": [{"code": code, "sku": sku} for code, sku in codes]}
        return await shop.http.put("/v1/suppliers/acme/codes", json=body)

    first = await put(("A/1", "P001"), ("A/2", "P002"))
    wrong = await put(("A/3", "P003"), ("A/4", "nobody"))
    second = await put(("A/1", None), ("A/2", "P004"))

    assert first.json() == {"supplier": "acme", "set": 2, "removed": 0, "codes": 2}
    assert problem(wrong, 404)["lines"][0]["sku"] == "nobody"
    assert second.json()["codes"] == 1
    assert await shop.walk("/v1/suppliers/acme/codes", limit=1) == [{"code": "A/2", "sku": "P004"}]
    assert wrong_fields(await put(("A/1", "P001"), ("A/1", "P002"))) == ["codes"]


async def test_spaces_around_a_code_are_no_part_of_it(shop: Shop) -> None:
    await create(shop)

    async def put(*codes: str) -> JSON:
        body = {"codes": [{"code": code, "sku": "P001"} for code in codes]}
        return await shop.http.put("/v1/suppliers/acme/codes", json=body)

    first = await put(" A 1 ", "\u3000B\u00a0")

    assert first.json()["set"] == 2
    listed = await shop.walk("/v1/suppliers/acme/codes")
    assert [one["code"] for one in listed] == ["A 1", "B"]
    assert wrong_fields(await put("C", " ")) == ["codes[1].code"]
    assert wrong_fields(await put("C", "C ")) == ["codes"]


async def test_only_an_admin_sees_a_supplier(shop: Shop) -> None:
    await create(shop)
    shop.http.headers.update(await shop.make_key(scopes=["write"], locations=["acme"]))

    for answer in (
        await shop.http.get("/v1/suppliers"),
        await shop.http.get("/v1/suppliers/acme"),
        await shop.http.post("/v1/suppliers/acme/pull"),
        await shop.http.get("/v1/suppliers/acme/runs"),
    ):
        assert problem(answer, 403)["needs"] == "admin"


async def test_an_unknown_supplier_has_nothing(shop: Shop) -> None:
    for path in ("", "/runs", "/codes"):
        assert problem(await shop.http.get(f"/v1/suppliers/nobody{path}"), 404)
    assert problem(await shop.http.post("/v1/suppliers/nobody/pull"), 404)


async def test_a_change_that_is_sent_twice_is_made_once(shop: Shop) -> None:
    await create(shop)
    writes: list[tuple[str, str, JSON]] = [
        ("PATCH", "/v1/suppliers/acme", {"name": "x"}),
        ("PUT", "/v1/suppliers/acme/codes", {"codes": [{"code": "A", "sku": "P001"}]}),
        ("DELETE", "/v1/suppliers/acme", None),
    ]
    for number, (verb, path, body) in enumerate(writes):
        key = {"Idempotency-Key": str(number)}
        first, again = [
            await shop.http.request(verb, path, json=body, headers=key) for _ in range(2)
        ]

        assert first.is_success, first.text
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    "fields",
    [
        {"paging": {"kind": "next"}},
        {"paging": {"kind": "next"}, "shape": {"next": "next"}, "format": "csv"},
    ],
)
async def test_links_to_pages_need_a_place_where_they_stand(shop: Shop, fields: JSON) -> None:
    refused = await shop.http.post("/v1/suppliers", json={**BODY, **fields})
    await create(shop)
    changed = await shop.http.patch("/v1/suppliers/acme", json=fields)

    assert wrong_fields(refused) == wrong_fields(changed) == ["paging.kind"]
