"""Bought-in weights over a real server on the loopback interface, from a person, and in all the ways in which that goes wrong."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from made_up_weights import MODEL, made_up_weights, raw_card, write_card
from safetensors.torch import load, save

from glocalrun.data.current import forget_other_weights
from glocalseg.config.model import ConfigError
from glocalseg.data.acquire.shared import FetchError, Retry
from glocalseg.networks.timm_encoder import require_checkpoint
from glocalseg.plan.bought import Bought
from glocalseg.records.sealed import open_sealed
from glocalseg.weights.fetch import check_weights_source, fetch_weights
from glocalseg.weights.lock import known_sha256, lock_of
from loopback import Server

QUICK = Retry(attempts=3, pause=0.0)
CONTENT = made_up_weights()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Place:
    """A checkout's folders: of cards, of fetched weights, and of what a person brings."""

    def __init__(self, root: Path) -> None:
        self.cards, self.incoming = root / "config/weights", root / "data/incoming/weights/small"
        self.record = root / "data/weights/small/fetched.json"

    def fetch(self, url: str | None, **changes: Any) -> bool:
        card = write_card(self.cards, raw_card(url, **changes))
        fits = partial(require_checkpoint, card.model)
        return fetch_weights(card, self.record, cards=self.cards, incoming=self.incoming, check=fits, retry=QUICK)

    def left(self) -> set[str]:
        return {path.name for path in self.record.parent.iterdir()}

    def locked(self) -> bool:
        return lock_of("small", self.cards).exists()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def refused(place: Place, url: str | None, **changes: Any) -> str:
    """The one line of a fetch that fails: nothing is taken for fetched then."""
    with pytest.raises((FetchError, ConfigError)) as error:
        place.fetch(url, **changes)
    assert not place.record.exists()
    return str(error.value)


def test_the_first_fetch_writes_a_lock_file_and_later_ones_are_held_to_it(server: Server, place: Place) -> None:
    server.content, url = CONTENT, f"{server.url}/a/model.safetensors"
    assert place.fetch(url)
    assert place.left() == {"model.safetensors", "fetched.json", ".fetched.json"}
    record = open_sealed(place.record)
    assert record["files"] == {"model.safetensors": SHA256}
    assert (record["licence"], record["from"]) == ("CC0-1.0", url)
    assert json.loads(lock_of("small", place.cards).read_text()) == {
        "file": "model.safetensors", "size": len(CONTENT), "sha256": SHA256,
    }  # fmt: skip
    place.record.unlink()
    assert not place.fetch(url)
    server.content = made_up_weights(seed=1)
    place.record.unlink()
    said = refused(place, url)
    lock = lock_of("small", place.cards)
    assert said == (
        f"{url}: expected sha256 {SHA256}, as small.lock.json says (if the weights are meant to have changed: delete {lock}), "
        f"found {hashlib.sha256(server.content).hexdigest()}"
    )
    assert known_sha256(write_card(place.cards, raw_card(url)), place.cards) == SHA256


def test_the_cards_checksum_needs_no_lock_file(server: Server, place: Place) -> None:
    server.content, url = CONTENT, f"{server.url}/model.safetensors"
    assert "expected sha256 " + "0" * 64 + ", as the card 'small' says, found " + SHA256 in refused(
        place, url, sha256="0" * 64
    )
    assert not place.left()
    assert not place.fetch(url, sha256=SHA256)
    assert not place.locked()


def test_a_broken_connection_is_resumed(server: Server, place: Place) -> None:
    server.content, server.break_after = CONTENT, [20_000, 30_000]
    place.fetch(f"{server.url}/model.safetensors")
    assert server.sent_ranges() == [None, "bytes=20000-", "bytes=50000-"]
    assert open_sealed(place.record)["files"] == {"model.safetensors": SHA256}


def test_a_server_that_gives_up_leaves_what_came_for_the_next_fetch(server: Server, place: Place) -> None:
    server.content, server.break_after = CONTENT, [20_000, 0, 0, 0]
    said = refused(place, f"{server.url}/model.safetensors")
    assert "20000 bytes are kept: start again to go on from there" in said
    place.fetch(f"{server.url}/model.safetensors")
    assert server.sent_ranges()[-1] == "bytes=20000-"


@pytest.mark.parametrize("content", [b"<html>log in first</html>", b"", CONTENT[:-100], save({})])
def test_a_file_that_is_none_of_weights_is_not_taken_on_trust(server: Server, place: Place, content: bytes) -> None:
    server.content = content
    said = refused(place, f"{server.url}/model.safetensors")
    assert f"/model.safetensors: expected weights as safetensors, found {len(content)} bytes that are none" in said
    assert "\n" not in said
    assert not place.locked()
    assert not place.left()


def test_weights_of_another_model_are_not_taken_on_trust(server: Server, place: Place) -> None:
    tensors = load(CONTENT)
    del tensors["stem.conv1.weight" if "stem.conv1.weight" in tensors else "conv1.0.weight"]
    server.content = save(tensors)
    assert f"network.weights: expected all of '{MODEL}', found none for " in refused(
        place, f"{server.url}/model.safetensors"
    ).replace("network: weights", "network.weights")
    assert not place.locked()
    said = refused(place, f"{server.url}/model.safetensors", model="no_such_model")
    assert said == "network: encoder: expected a timm model, found 'no_such_model'"


def test_a_refusing_server_is_one_line(server: Server, place: Place) -> None:
    server.statuses = [403]
    assert refused(place, f"{server.url}/model.safetensors").endswith("expected HTTP 200 or 206, found 403 Forbidden")


def test_what_a_person_brings_comes_first_and_stays(server: Server, place: Place) -> None:
    place.incoming.mkdir(parents=True)
    (place.incoming / "model.safetensors").write_bytes(CONTENT)
    place.fetch(f"{server.url}/model.safetensors")
    assert server.requests == []
    assert (place.incoming / "model.safetensors").read_bytes() == CONTENT
    assert open_sealed(place.record)["from"].endswith("data/incoming/weights/small/model.safetensors")


def test_weights_without_an_address_say_what_a_person_does(place: Place) -> None:
    source = {"file": "own.safetensors", "steps": ["Accept the licence.", "Download it."]}
    said = refused(place, None, source=source)
    assert said.startswith(
        f"{place.incoming}: expected own.safetensors of Small weights, found no such file. A person has to get it"
    )
    assert "(licence: CC0-1.0):\n  1. Accept the licence.\n  2. Download it.\n" in said
    with pytest.raises(FetchError, match="A person has to get it"):
        check_weights_source(write_card(place.cards, raw_card(None, source=source)), incoming=place.incoming)


def test_a_cluster_asks_beforehand_whether_the_server_answers(server: Server, place: Place) -> None:
    check_weights_source(write_card(place.cards, raw_card(f"{server.url}/m.safetensors")), incoming=place.incoming)
    card = write_card(place.cards, raw_card("http://127.0.0.1:9/m.safetensors"))
    with pytest.raises(
        FetchError, match=r"small: expected an answer from 127.0.0.1:9, found ConnectionError: .*Put m.safetensors"
    ):
        check_weights_source(card, incoming=place.incoming, timeout=1)


def test_weights_whose_lock_file_is_gone_or_other_are_fetched_again(server: Server, place: Place) -> None:
    server.content = CONTENT
    place.fetch(f"{server.url}/model.safetensors")
    card = write_card(place.cards, raw_card(f"{server.url}/model.safetensors"))
    here = {path: path.read_bytes() for path in (place.record, place.record.with_name(".fetched.json"))}

    class At(Bought):
        record = place.record  # type: ignore[assignment]

    for known, kept in ((SHA256, True), ("0" * 64, False), (None, False)):
        for path, content in here.items():
            path.write_bytes(content)
        forget_other_weights(At(card, known))
        assert [path.exists() for path in here] == [kept, kept]
